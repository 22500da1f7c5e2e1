package procscan

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustScan(t testing.TB, opts Options) Snapshot {
	t.Helper()
	s, err := Scan(soon(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pids(list []Process) []int {
	var numbers []int
	for _, p := range list {
		numbers = append(numbers, p.PID)
	}
	return numbers
}

func TestScanFindsTheRun(t *testing.T) {
	run := newRun()
	f := start(t, "session-child", worker(run), session())
	child := f.pid(0) // has a command line of its own, and only the environment
	start(t, "sleep", worker(run+"2"))

	plain := mustScan(t, Options{}).Run(run)
	if diff := cmp.Diff([]int{f.id.PID}, pids(plain)); diff != "" {
		t.Errorf("by arguments, -want +got:\n%s", diff)
	}
	want := Process{
		ID: f.id, PPID: os.Getpid(), PGID: f.id.PID, SID: f.id.PID, UID: os.Getuid(), State: plain[0].State,
		Args:   f.cmd.Args,
		Cgroup: plain[0].Cgroup, // wherever the test runs
		Marker: ParseMarker(f.cmd.Args, f.cmd.Env),
	}
	if diff := cmp.Diff(want, plain[0]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	all := mustScan(t, Options{ReadEnv: true})
	if got := pids(all.Run(run)); len(got) != 2 {
		t.Errorf("with the environment: %v; want %d and %d", got, f.id.PID, child)
	}
	if p, found := all.Find(child); !found || p.WorkerID != "default-0" {
		t.Errorf("found the child: %v, %+v", found, p)
	}
	if all.Scanned <= len(all.Processes) || all.Boot != f.id.Boot || all.Self != os.Getpid() {
		t.Errorf("scanned %d, boot %s, self %d", all.Scanned, all.Boot, all.Self)
	}
}

func TestScanTree(t *testing.T) {
	f := start(t, "group-child", session())
	s := mustScan(t, Options{Tree: true})
	if diff := cmp.Diff([]int{f.pid(0)}, pids(s.Descendants(f.id.PID))); diff != "" {
		t.Errorf("descendants, -want +got:\n%s", diff)
	}
	if got := s.Group(f.id.PID); len(got) != 2 {
		t.Errorf("group: %v; want the leader and its child", pids(got))
	}
	if _, found := s.Find(os.Getpid()); !found {
		t.Error("this process was not found")
	}
}

func TestScanEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Scan(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// fixed is a snapshot as nobody can order it from a real machine.
func fixed() Snapshot {
	condemned := Marker{RunID: "a", Condemns: true}
	proc := func(pid, ppid, pgid int, state State, m Marker) Process {
		return Process{ID: ID{PID: pid}, PPID: ppid, PGID: pgid, State: state, Marker: m}
	}
	return Snapshot{Self: 13, Processes: []Process{
		proc(1, 0, 1, Sleeping, Marker{}),
		proc(10, 1, 10, Sleeping, condemned),
		proc(11, 10, 10, Zombie, condemned),
		proc(12, 10, 10, Dead, condemned),
		proc(13, 10, 10, Running, condemned), // the one that scans
		proc(14, 11, 14, Stopped, condemned),
		proc(15, 1, 15, Sleeping, Marker{RunID: "a"}),                  // mentions the run
		proc(16, 1, 16, Sleeping, Marker{RunID: "ab", Condemns: true}), // another run
		proc(20, 21, 20, Sleeping, Marker{}),                           // each the other's parent:
		proc(21, 20, 20, Sleeping, Marker{}),                           // PIDs were reused meanwhile
	}}
}

func TestSnapshot(t *testing.T) {
	s := fixed()
	for name, tt := range map[string]struct{ got, want []int }{
		"run":                 {pids(s.Run("a")), []int{10, 14}},
		"run of a longer id":  {pids(s.Run("ab")), []int{16}},
		"no run":              {pids(s.Run("")), nil},
		"group":               {pids(s.Group(10)), []int{10, 13}},
		"no group":            {pids(s.Group(99)), nil},
		"descendants":         {pids(s.Descendants(10)), []int{11, 12, 13, 14}},
		"descendants of 1":    {pids(s.Descendants(1)), []int{10, 15, 16, 11, 12, 13, 14}},
		"descendants, circle": {pids(s.Descendants(20)), []int{21}},
		"no descendants":      {pids(s.Descendants(14)), nil},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", name, diff)
		}
	}
	if p, found := s.Find(14); !found || p.PID != 14 {
		t.Errorf("Find(14): %+v, %v", p, found)
	}
	if p, found := s.Find(2); found {
		t.Errorf("Find(2): %+v", p)
	}
}

// Who lets nobody read it may be of the run unless it is older, or in a session
// that is.
func TestCouldBeOf(t *testing.T) {
	proc := func(pid, ppid, sid int, start uint64) Process {
		return Process{ID: ID{PID: pid, Start: start, Boot: "b"}, PPID: ppid, SID: sid}
	}
	s := Snapshot{Processes: []Process{
		proc(1, 0, 1, 1), proc(10, 1, 10, 50), // a desktop
		proc(20, 1, 20, 99),   // older than the supervisor
		proc(21, 1, 21, 100),  // as old
		proc(22, 10, 22, 200), // leads a session, whoever is its parent
		proc(23, 10, 10, 200), // a browser
		proc(24, 23, 10, 201), // and its child
		proc(25, 1, 9, 200),   // of a session whose leader has gone
		proc(26, 10, 0, 200),  // of an unknown session
	}}
	for _, p := range s.Processes[2:] {
		s.Closed = append(s.Closed, p.ID)
	}
	numbers := func(ids []ID) (list []int) {
		for _, id := range ids {
			list = append(list, id.PID)
		}
		return list
	}
	for name, tt := range map[string]struct {
		supervisor ID
		want       []int
	}{
		"known":        {ID{PID: 5, Start: 100, Boot: "b"}, []int{21, 22, 25, 26}},
		"unknown":      {ID{}, []int{20, 21, 22, 23, 24, 25, 26}},
		"another boot": {ID{PID: 5, Start: 100, Boot: "a"}, nil},
	} {
		if diff := cmp.Diff(tt.want, numbers(s.CouldBeOf(tt.supervisor))); diff != "" {
			t.Errorf("%s, -want +got:\n%s", name, diff)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	for name, opts := range map[string]Options{
		"arguments":   {},
		"environment": {ReadEnv: true},
		"tree":        {ReadEnv: true, Tree: true},
	} {
		b.Run(name, func(b *testing.B) {
			var scanned int
			for b.Loop() {
				s, err := Scan(context.Background(), opts)
				if err != nil {
					b.Fatal(err)
				}
				scanned = s.Scanned
			}
			b.ReportMetric(float64(scanned), "processes")
		})
	}
}

// A parent that ended between the look at its child and the look at itself has left
// the child to another one, which is its parent now.
func TestParentThatHasEndedMeanwhile(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	self, err := Lookup(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all := Snapshot{Processes: []Process{{ID: self, PPID: gone.Process.Pid}}}
	if err := (scanner{boot: self.Boot}).addAncestors(t.Context(), &all); err != nil {
		t.Error(err)
	}
	p, _ := all.Find(self.PID)
	if _, found := all.Find(os.Getppid()); p.PPID != os.Getppid() || !found {
		t.Errorf("its parent is PID %d, and PID %d was found: %t", p.PPID, os.Getppid(), found)
	}
	another := Process{ID: ID{PID: self.PID, Start: self.Start + 1}, PPID: gone.Process.Pid}
	if another.adoptedSince() {
		t.Error("another process has that PID now, and its parent was taken")
	}
}
