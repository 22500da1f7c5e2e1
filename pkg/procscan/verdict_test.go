package procscan

import (
	"slices"
	"strings"
	"testing"
)

// recorded are the processes of one machine as they were seen, by their PIDs.
// PID 1 is what each row says.
func recorded(first string) Snapshot {
	marked := func(run string) Marker {
		return ParseMarker([]string{"python3", "grpc_server.py", RunIDFlag, run}, nil)
	}
	proc := func(pid, ppid, pgid int, name string, m Marker) Process {
		return Process{
			ID: ID{PID: pid, Start: uint64(pid), Boot: "b"}, PPID: ppid, PGID: pgid, UID: 1000, State: Sleeping,
			Args: strings.Fields(name), Cgroup: "/user.slice/user-1000.slice/session-3.scope", Marker: m,
		}
	}
	mentions := ParseMarker([]string{"grep", "--", RunIDFlag, "x"}, nil)
	list := []Process{
		proc(1, 0, 1, first, Marker{}),
		proc(10, 1, 10, "/usr/lib/erlang/bin/beam.smp", Marker{}),
		proc(11, 10, 11, "python3", marked("x")), // a worker of a living host
		proc(12, 11, 12, "sleep", marked("x")),   // its child
		proc(20, 1, 20, "python3", marked("x")),  // re-parented
		proc(21, 20, 21, "sleep", marked("x")),   // its child
		proc(30, 1, 30, "/usr/lib/systemd/systemd", Marker{}),
		proc(31, 30, 31, "python3", marked("x")), // under the user's subreaper
		proc(32, 1, 32, "/usr/bin/containerd-shim-runc-v2", Marker{}),
		proc(33, 32, 33, "python3", marked("x")),
		proc(34, 0, 34, "python3", marked("x")), // parent outside of the namespace
		proc(35, 9, 35, "python3", marked("x")), // parent gone while we looked
		proc(40, 1, 40, "grep", mentions),
		proc(50, 1, 50, "snakepit", Marker{}), // a supervisor
		proc(51, 50, 51, "python3", marked("x")),
		proc(52, 51, 51, "sh", marked("x")),
		proc(53, 1, 51, "sh", marked("x")), // in the group of 51
		proc(54, 1, 54, "sh", marked("x")), // left group and tree
		proc(55, 50, 55, "sh", marked("x")),
		proc(60, 1, 60, "python3", Marker{}), // its marker cannot be read
		proc(61, 1, 61, "", Marker{}),
		proc(62, 1, 62, "python3", marked("x")), // of another user
		proc(63, 64, 63, "python3", marked("x")),
		proc(64, 1, 64, "some-reaper", Marker{}),
		proc(65, 64, 65, "python3", marked("x")),
	}
	list[21-1].State, list[21-1].Args = Zombie, nil // 61
	list[22-1].UID = 65534                          // 62
	list[20-1].SID = 60                             // 60
	list[20-1].Environment = EnvOverwritten
	return Snapshot{Processes: list, Boot: "b"}
}

func idOf(pid int) ID { return ID{PID: pid, Start: uint64(pid), Boot: "b"} }

func TestJudge(t *testing.T) {
	facts := func(lock LockState, supervisor int, registered ...int) *Facts {
		f := &Facts{RunID: "x", Lock: lock, Owner: 1000}
		if supervisor != 0 {
			f.Supervisor = idOf(supervisor)
		}
		for _, pid := range registered {
			f.Registered = append(f.Registered, idOf(pid))
		}
		return f
	}
	reused := facts(LockFree, 99)
	reused.Registered = []ID{{PID: 40, Start: 7, Boot: "b"}}
	bygone := facts(LockUnknown, 0)
	bygone.Supervisor = ID{PID: 50, Start: 50, Boot: "the boot before"}
	keyed := facts(LockFree, 99)
	keyed.Key = "other"
	const unproven = "nothing proves that its host is dead"

	for name, tt := range map[string]struct {
		first string
		pid   int
		facts *Facts
		want  Verdict
		why   string
	}{
		"free lock, another key":       {"systemd", 20, keyed, Foreign, "another run of the same name"},
		"free lock, supervisor lives":  {"systemd", 20, facts(LockFree, 10), Stray, "the supervisor of run x, PID 10, lives"},
		"unknown live host":            {"systemd", 11, nil, Foreign, "its parent PID 10 (beam.smp) lives"},
		"child of a live host's":       {"systemd", 12, nil, Foreign, "it descends from PID 11 of the same run, whose parent PID 10 (beam.smp) lives"},
		"re-parented to init":          {"/sbin/init", 20, nil, Orphan, "its parent is PID 1 (init)"},
		"child of a re-parented":       {"/sbin/init", 21, nil, Orphan, "descends from PID 20"},
		"container with tini":          {"/usr/bin/tini -g -- /usr/lib/erlang/bin/beam.smp", 20, nil, Orphan, "PID 1 (tini)"},
		"container with docker-init":   {"/sbin/docker-init -- /usr/lib/erlang/bin/beam.smp", 20, nil, Orphan, "PID 1 (docker-init)"},
		"container, PID 1 is the host": {"beam.smp", 20, nil, Foreign, unproven},
		"container, PID 1 is hidden":   {"", 20, nil, Foreign, unproven},
		"under systemd --user":         {"systemd", 31, nil, Orphan, "PID 30 (systemd)"},
		"under a container's monitor":  {"systemd", 33, nil, Orphan, "PID 32 (containerd-shim-runc-v2)"},
		"parent outside":               {"systemd", 34, nil, Foreign, "another PID namespace"},
		"parent gone":                  {"systemd", 35, nil, Foreign, "PID 9 cannot be seen"},
		"init's child is no reaper":    {"systemd", 65, nil, Foreign, "PID 64 (some-reaper) lives"},
		"grep, no facts":               {"systemd", 40, nil, Foreign, "an argument alone proves nothing"},

		"free lock":                             {"beam.smp", 20, facts(LockFree, 99), Orphan, "the lock of run x is free: its supervisor, PID 99, has ended"},
		"free lock, nothing recorded":           {"systemd", 20, facts(LockFree, 0), Orphan, "its supervisor has ended"},
		"free lock, nothing recorded, host":     {"beam.smp", 20, facts(LockFree, 0), Foreign, "PID 1 (beam.smp), which is no init that is known"},
		"free lock, nobody recorded, its host":  {"systemd", 11, facts(LockFree, 0, 11), Foreign, "its parent PID 10 (beam.smp) lives"},
		"free lock, nobody recorded, siblings":  {"systemd", 65, facts(LockFree, 0, 63, 65), Foreign, "PID 64 (some-reaper) lives"},
		"free lock, nobody recorded, adopted":   {"systemd", 20, facts(LockFree, 0, 20), Orphan, "the lock"},
		"free lock, registered, another user's": {"beam.smp", 62, facts(LockFree, 99, 62), Orphan, "the lock"},
		"free lock, child of an orphan":         {"systemd", 21, facts(LockFree, 99), Orphan, "the lock"},
		"free lock, under a reaper":             {"systemd", 31, facts(LockFree, 99), Orphan, "the lock"},
		"free lock, grep":                       {"systemd", 40, facts(LockFree, 99), Foreign, "an argument alone"},
		"free lock, took a worker's PID":        {"systemd", 40, reused, Foreign, "an argument alone"},
		"free lock, neighbour of the same name": {"systemd", 11, facts(LockFree, 99), Foreign, "PID 10 (beam.smp) lives"},
		"free lock, neighbour's child":          {"systemd", 12, facts(LockFree, 99), Foreign, "PID 10 (beam.smp) lives"},
		"free lock, parent outside":             {"systemd", 34, facts(LockFree, 99), Foreign, "another PID namespace"},
		"free lock, another user's":             {"beam.smp", 62, facts(LockFree, 99), Foreign, "it belongs to user id 65534"},
		"free lock, unknown reaper":             {"systemd", 65, facts(LockFree, 99), Foreign, "PID 64 (some-reaper) lives"},
		"free lock, reaper of registered":       {"systemd", 65, facts(LockFree, 99, 63), Orphan, "the lock"},
		"free lock, registered":                 {"systemd", 11, facts(LockFree, 99, 11), Orphan, "in the registry of run x"},
		"free lock, registered, unreadable":     {"systemd", 60, facts(LockFree, 56, 60), Orphan, "the lock"},
		"free lock, registered zombie":          {"systemd", 61, facts(LockFree, 99, 61), Orphan, "zombie"},

		"held, registered":                {"systemd", 51, facts(LockHeld, 50, 51), Managed, "the lock of run x is held"},
		"held, descends from registered":  {"systemd", 52, facts(LockHeld, 50, 51), Managed, "the lock"},
		"held, in the group":              {"systemd", 53, facts(LockHeld, 50, 51), Managed, "group of a registered worker, PID 51"},
		"held, descends from supervisor":  {"systemd", 55, facts(LockHeld, 50), Managed, "descends from the supervisor, PID 50"},
		"held, left group and tree":       {"systemd", 54, facts(LockHeld, 50, 51), Stray, "does not know this process"},
		"held, neighbour of same name":    {"systemd", 11, facts(LockHeld, 50, 51), Foreign, "PID 10 (beam.smp) lives"},
		"held, supervisor unknown":        {"systemd", 54, facts(LockHeld, 0, 51), Foreign, "not known who its supervisor is"},
		"held by a cleaner":               {"systemd", 54, facts(LockHeld, 99, 51), Foreign, "somebody cleans up"},
		"no lock, supervisor lives":       {"systemd", 51, facts(LockUnknown, 50, 51), Managed, "PID 50, lives"},
		"no lock, supervisor lives, left": {"systemd", 54, facts(LockUnknown, 50, 51), Stray, "PID 50, lives"},
		"no lock, supervisor dead":        {"beam.smp", 54, facts(LockUnknown, 99), Orphan, "its supervisor, PID 99, has ended"},
		"no lock, supervisor's PID taken": {"systemd", 54, bygone, Orphan, "its supervisor, PID 50, has ended"},
		"no lock, no supervisor":          {"systemd", 20, facts(LockUnknown, 0), Orphan, "PID 1 (systemd)"},
		"no lock, no supervisor, host":    {"systemd", 11, facts(LockUnknown, 0), Foreign, "beam.smp"},
		"no lock, nothing but registered": {"systemd", 60, facts(LockUnknown, 0, 60), Foreign, "neither a lock nor a recorded supervisor"},
	} {
		t.Run(name, func(t *testing.T) {
			s := recorded(tt.first)
			p, _ := s.Find(tt.pid)
			verdict, evidence := Judge(p, s, tt.facts)
			if verdict != tt.want || !slices.ContainsFunc(evidence, func(e string) bool { return strings.Contains(e, tt.why) }) {
				t.Errorf("%s, %q; want %s with %q", verdict, evidence, tt.want, tt.why)
			}
		})
	}
}

// The key tells whose a process is, whatever user it has become: a worker can
// give up its privileges.
func TestJudgeOfAnotherUser(t *testing.T) {
	for name, tt := range map[string]struct {
		key, has   string
		registered bool
		want       Verdict
	}{
		"the key":                    {"k", "k", false, Orphan},
		"the key, registered":        {"k", "k", true, Orphan},
		"no key":                     {"k", "", false, Foreign},
		"another key":                {"k", "l", false, Foreign},
		"another key, registered":    {"k", "l", true, Foreign},
		"none is known":              {"", "k", false, Foreign},
		"none is known, registered":  {"", "", true, Orphan},
		"none is to be seen, listed": {"k", "", true, Orphan},
	} {
		s := recorded("beam.smp")
		p, _ := s.Find(62)
		p.Key = tt.has
		f := &Facts{RunID: "x", Lock: LockFree, Owner: 1000, Key: tt.key, Supervisor: idOf(99)}
		if tt.registered {
			f.Registered = []ID{p.ID}
		}
		if verdict, evidence := Judge(p, s, f); verdict != tt.want {
			t.Errorf("%s: %s, %q; want %s", name, verdict, evidence, tt.want)
		}
	}
}

func TestAncestors(t *testing.T) {
	for pid, want := range map[int][]int{12: {11, 10, 1}, 1: nil, 34: nil, 35: nil, 99: nil} {
		if got := pids(recorded("init").Ancestors(pid)); !slices.Equal(got, want) {
			t.Errorf("of %d: %v, want %v", pid, got, want)
		}
	}
	if got := pids(fixed().Ancestors(20)); !slices.Equal(got, []int{21}) {
		t.Errorf("in a circle: %v", got)
	}
}

func TestScanKeepsAncestorsAndWhomItIsAskedFor(t *testing.T) {
	run := newRun()
	parent := start(t, "session-child", env(RunIDEnv+"=no", "NOTHING=1"))
	marked := start(t, "sleep", worker(run))
	reused := parent.id
	reused.Start--
	s := mustScan(t, Options{Also: []ID{parent.id}, Ancestors: true})
	for _, id := range []ID{parent.id, marked.id, mustLookup(t, 1)} {
		if p, found := s.Find(id.PID); !found || p.ID != id {
			t.Errorf("process %d: %v, %+v", id.PID, found, p)
		}
	}
	if got := s.Ancestors(marked.id.PID); len(got) == 0 || got[len(got)-1].PPID != 0 {
		t.Errorf("ancestors %v", pids(got))
	}
	if _, found := s.Find(parent.pid(0)); found {
		t.Error("a process that nobody asked for was kept")
	}
	if _, found := mustScan(t, Options{Also: []ID{reused}}).Find(parent.id.PID); found {
		t.Error("another process with the PID was kept")
	}
}
