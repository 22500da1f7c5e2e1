package procscan

import (
	"slices"
	"strings"
	"testing"
)

// What a worker of an unknown host shows below those that adopt processes: as it
// was recorded on machines of each kind.
func TestByParent(t *testing.T) {
	const (
		session   = "/user.slice/user-1000.slice/session-3.scope"
		terminal  = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.kde.konsole-1201.scope"
		unit      = "/system.slice/embeddings.service"
		userUnit  = "/user.slice/user-1000.slice/user@1000.service/app.slice/embeddings.service"
		docker    = "/system.slice/docker-5f1c.scope"
		manager   = "/user.slice/user-1000.slice/user@1000.service/init.scope"
		delegated = "/system.slice/embeddings.service/worker"
	)
	type place struct {
		cgroup    string
		leads     bool // a session
		contained bool
		sibling   string // the arguments of an older child of the parent
	}
	for name, tt := range map[string]struct {
		parent string
		pid    int
		cgroup string // of the parent
		worker place
		why    string // it is foreign, and why; empty for an orphan
	}{
		"systemd, of a login":            {"/usr/lib/systemd/systemd", 1, "/init.scope", place{cgroup: session, leads: true}, ""},
		"systemd, of a unit":             {"/usr/lib/systemd/systemd", 1, "/init.scope", place{cgroup: unit, leads: true}, "it is in the unit embeddings.service"},
		"systemd, of a forking unit":     {"/usr/lib/systemd/systemd", 1, "/init.scope", place{cgroup: unit}, "it is in the unit embeddings.service"},
		"systemd, below a unit's group":  {"/usr/lib/systemd/systemd", 1, "/init.scope", place{cgroup: delegated}, "it is in the unit embeddings.service"},
		"systemd, a slice alone":         {"/usr/lib/systemd/systemd", 1, "/init.scope", place{cgroup: "/system.slice"}, "not known of which unit"},
		"systemd, unknown group":         {"/usr/lib/systemd/systemd", 1, "/init.scope", place{}, "not known of which unit"},
		"systemd as init, of a login":    {"/sbin/init", 1, "/init.scope", place{cgroup: session, leads: true}, ""},
		"systemd as init, of a unit":     {"/sbin/init", 1, "/init.scope", place{cgroup: unit}, "it is in the unit"},
		"systemd --user, of a terminal":  {"/usr/lib/systemd/systemd", 900, manager, place{cgroup: terminal, leads: true}, ""},
		"systemd --user, of a unit":      {"/usr/lib/systemd/systemd", 900, manager, place{cgroup: userUnit, leads: true}, "it is in the unit"},
		"systemd --user, of its manager": {"/usr/lib/systemd/systemd", 900, manager, place{cgroup: manager, leads: true}, ""},

		"another init, in a session":    {"/sbin/init", 1, "/", place{cgroup: "/"}, ""},
		"another init, of its own":      {"/sbin/init", 1, "/", place{cgroup: "/", leads: true}, "it leads a session of its own"},
		"launchd, of its own":           {"/sbin/launchd", 1, "", place{leads: true}, "it leads a session of its own"},
		"tini, its program":             {"/usr/bin/tini", 1, "/", place{cgroup: "/"}, "none of its other children"},
		"tini, its program, setsid":     {"/usr/bin/tini", 1, "/", place{cgroup: "/", leads: true}, "none of its other children"},
		"tini, had a child before exec": {"/usr/bin/tini -- python3", 1, "/", place{cgroup: "/", leads: true, sibling: "sleep 60"}, "none of its other children"},
		"tini, its program beside it":   {"/usr/bin/tini -- python3", 1, "/", place{cgroup: "/", sibling: "python3"}, "none of its other children"},
		"tini, some last word":          {"/usr/bin/tini -- mix run", 1, "/", place{cgroup: "/", sibling: "echo run"}, "none of its other children"},
		"tini, adopted":                 {"/usr/bin/tini -- mix run", 1, "/", place{cgroup: "/", leads: true, sibling: "mix run"}, ""},
		"tini, adopted, of a script":    {"/usr/bin/tini -g ./run.sh", 1, "/", place{cgroup: "/", leads: true, sibling: "/bin/sh ./run.sh"}, ""},
		"tini, not PID 1":               {"/usr/bin/tini -- mix run", 900, "/", place{cgroup: "/", sibling: "mix run"}, "PID 900 (tini) lives"},
		"dumb-init, its program":        {"dumb-init", 1, docker, place{cgroup: docker, leads: true}, "none of its other children"},
		"docker-init, adopted":          {"/sbin/docker-init -- mix", 1, docker, place{cgroup: docker, leads: true, sibling: "mix"}, ""},
		"shim, main process":            {"/usr/bin/containerd-shim-runc-v2", 900, "/system.slice/containerd.service", place{cgroup: docker, leads: true, contained: true}, "a container's"},
		"shim, main without namespace":  {"/usr/bin/containerd-shim-runc-v2", 900, "/system.slice/containerd.service", place{cgroup: docker, leads: true}, "it leads a session of its own"},
		"shim, adopted":                 {"/usr/bin/containerd-shim-runc-v2", 900, "/system.slice/containerd.service", place{cgroup: docker}, ""},
		"conmon, main process":          {"/usr/bin/conmon", 900, manager, place{cgroup: manager, leads: true, contained: true}, "a container's"},
		"conmon, exec":                  {"/usr/bin/conmon", 900, manager, place{cgroup: manager, leads: true}, "it leads a session of its own"},
		"systemd, main of a lost shim":  {"/usr/lib/systemd/systemd", 1, "/init.scope", place{cgroup: docker, leads: true, contained: true}, "a container's"},
		"systemd, of nowhere, leads":    {"/usr/lib/systemd/systemd", 900, "/", place{cgroup: "/", leads: true}, ""},
		"systemd, other group, no unit": {"/usr/lib/systemd/systemd", 900, "/", place{cgroup: "/lxc/a", leads: true}, "not known of which unit"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := Process{ID: idOf(tt.pid), State: Sleeping, Args: strings.Fields(tt.parent), Cgroup: tt.cgroup}
			p := Process{
				ID: idOf(1000), PPID: tt.pid, UID: 1000, State: Sleeping, Cgroup: tt.worker.cgroup, Contained: tt.worker.contained,
				Marker: ParseMarker([]string{"python3", "grpc_server.py", RunIDFlag, "x"}, nil),
			}
			p.Args = []string{"python3"}
			if tt.worker.leads {
				p.SID = p.PID
			}
			s := Snapshot{Processes: []Process{parent}}
			if tt.worker.sibling != "" {
				s.Processes = append(s.Processes, Process{ID: idOf(990), PPID: tt.pid, State: Sleeping, Args: strings.Fields(tt.worker.sibling)})
			}
			younger := Process{ID: idOf(1010), PPID: tt.pid, State: Sleeping}
			s.Processes = append(s.Processes, p, younger)
			want := Orphan
			if tt.why != "" {
				want = Foreign
			}
			verdict, evidence := Judge(p, s, nil)
			if verdict != want || !slices.ContainsFunc(evidence, func(e string) bool { return strings.Contains(e, tt.why) }) {
				t.Errorf("%s, %q; want %s with %q", verdict, evidence, want, tt.why)
			}
		})
	}
}

func TestNeedsTree(t *testing.T) {
	for name, want := range map[string]bool{"/usr/bin/tini": true, "dumb-init": true, "/sbin/init": false, "beam.smp": false} {
		if got := recorded(name).NeedsTree(); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (Snapshot{}).NeedsTree() {
		t.Error("without PID 1")
	}
}

func TestParseCgroup(t *testing.T) {
	for name, tt := range map[string]struct{ raw, want, unit string }{
		"unified":         {"0::/system.slice/a.service\n", "/system.slice/a.service", "a.service"},
		"hybrid":          {"9:name=systemd:/user.slice/session-3.scope\n8:pids:/x.service\n0::/y.service\n", "/user.slice/session-3.scope", "session-3.scope"},
		"hybrid, swapped": {"0::/y.service\n9:name=systemd:/a.scope/b\n", "/a.scope/b", "a.scope"},
		"old, no systemd": {"8:pids:/x.service\n", "", ""},
		"colons":          {"0::/a:b.service\n", "/a:b.service", "a:b.service"},
		"root":            {"0::/\n", "/", ""},
		"a namespace's":   {"0::/../../system.slice/b.service", "/../../system.slice/b.service", "b.service"},
		"slice":           {"0::/user.slice\n", "/user.slice", ""},
		"relative":        {"0::a.service/x", "", ""},
		"empty":           {"", "", ""},
		"broken":          {"0\n1:\n:::\n", "", ""},
	} {
		got := parseCgroup(tt.raw)
		if got != tt.want || unitOf(got) != tt.unit {
			t.Errorf("%s: %q of %q, want %q of %q", name, got, unitOf(got), tt.want, tt.unit)
		}
	}
}

func TestParseContained(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tx\nNSpid:\t42\n":       false,
		"Name:\tx\nNSpid:\t42\t1\n":    true,
		"Name:\tNSpid:\nPid:\t1 2\n":   false,
		"NStgid:\t42\t1\nNSpid:\t42":   false,
		"NSpid:\t42\t17\t1\nNSpgid:\t": true,
		"":                             false,
	} {
		if got := parseContained(status); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add("0::/system.slice/a.service\n")
	f.Fuzz(func(_ *testing.T, raw string) {
		unitOf(parseCgroup(raw))
		parseContained(raw)
	})
}
