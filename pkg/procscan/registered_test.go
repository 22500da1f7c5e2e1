package procscan

import (
	"strings"
	"testing"
)

// hidden is a snapshot with a worker that has hidden its marker, PID 100, below
// the parent that is given, and the facts that condemn it.
func hidden(parent Process, change func(*Process, *Facts)) (Process, Snapshot, *Facts) {
	id := func(pid int, start uint64) ID { return ID{PID: pid, Start: start, Boot: "b"} }
	p := Process{ID: id(100, 1000), PPID: parent.PID, PGID: 100, SID: 100, UID: 1000, State: Sleeping, Args: []string{"python3"}, Environment: EnvOverwritten}
	f := &Facts{
		RunID: "x", Lock: LockFree, Owner: 1000, Key: "k", Supervisor: id(90, 1000),
		Registered: []ID{p.ID, id(101, 1001)}, Others: map[ID]string{},
	}
	if change != nil {
		change(&p, f)
	}
	marked := ParseMarker([]string{"python3", "grpc_server.py", RunIDFlag, "x"}, []string{RunIDEnv + "=x", WorkerIDEnv + "=w", RunKeyEnv + "=k"})
	s := Snapshot{Boot: "b", Processes: []Process{
		{ID: id(1, 1), State: Sleeping, Args: []string{"/sbin/somebody"}},
		{ID: id(50, 50), PPID: 1, State: Sleeping, Args: []string{"tmux"}},
		{ID: id(60, 60), PPID: 1, State: Sleeping, Args: []string{"adopter"}},
		{ID: id(70, 70), PPID: 1, State: Sleeping, Args: []string{"/usr/lib/systemd/systemd"}},
		p,
		{ID: id(101, 1001), PPID: 60, PGID: 101, SID: 101, UID: 1000, State: Sleeping, Marker: marked},
	}}
	return p, s, f
}

func TestRegisteredOnly(t *testing.T) {
	first, shell, adopter, reaper := Process{ID: ID{PID: 1}}, Process{ID: ID{PID: 50}}, Process{ID: ID{PID: 60}}, Process{ID: ID{PID: 70}}
	for name, tt := range map[string]struct {
		parent Process
		change func(*Process, *Facts)
		want   string // empty: it may be ended
	}{
		"init":                     {first, nil, ""},
		"reaper":                   {reaper, nil, ""},
		"who has adopted a worker": {adopter, nil, ""},
		"the same tick":            {first, func(p *Process, f *Facts) { f.Supervisor.Start = p.Start }, ""},
		"it mentions its run":      {first, func(p *Process, _ *Facts) { p.RunID = "x" }, ""},
		"empty environment":        {first, func(p *Process, _ *Facts) { p.Environment = EnvEmpty }, ""},
		"its key, another user":    {first, func(p *Process, _ *Facts) { p.UID, p.Key = 0, "k" }, ""},

		"whole environment":      {first, func(p *Process, _ *Facts) { p.Environment = EnvWhole }, "it never was a worker"},
		"unreadable environment": {first, func(p *Process, _ *Facts) { p.Environment = EnvUnknown }, "its environment could not be read"},
		"wrong key":              {first, func(p *Process, _ *Facts) { p.UID, p.Key = 0, "" }, "it belongs to user id 0"},

		"a shell":               {shell, nil, "its parent PID 50 (tmux) is none that takes what others have left"},
		"parent unseen":         {Process{ID: ID{PID: 51}}, nil, "its parent PID 51 cannot be seen"},
		"parent outside":        {Process{}, nil, "its parent is in another PID namespace"},
		"another worker's key":  {adopter, func(_ *Process, f *Facts) { f.Key = "another" }, "its parent PID 60 (adopter) is none"},
		"only itself":           {adopter, func(_ *Process, f *Facts) { f.Registered = f.Registered[:1] }, "its parent PID 60 (adopter) is none"},
		"no session":            {first, func(p *Process, _ *Facts) { p.SID = 50 }, "leads no session"},
		"older":                 {first, func(_ *Process, f *Facts) { f.Supervisor.Start = 1001 }, "was started before its supervisor, PID 90"},
		"another boot":          {first, func(_ *Process, f *Facts) { f.Supervisor.Boot = "a" }, "was started before its supervisor"},
		"supervisor unknown":    {first, func(_ *Process, f *Facts) { f.Supervisor = ID{} }, "not known when its supervisor was started"},
		"a guard":               {first, func(p *Process, f *Facts) { f.Others[p.ID] = "the guard of run y" }, "it is the guard of run y"},
		"another user's":        {first, func(p *Process, _ *Facts) { p.UID = 0 }, "it belongs to user id 0"},
		"it names another run":  {first, func(p *Process, _ *Facts) { p.RunID = "y" }, "it names run y"},
		"not in the registry":   {first, func(_ *Process, f *Facts) { f.Registered = f.Registered[1:] }, "not in the registry"},
		"registered, other PID": {first, func(_ *Process, f *Facts) { f.Registered[0].Start-- }, "not in the registry"},
	} {
		t.Run(name, func(t *testing.T) {
			p, s, f := hidden(tt.parent, tt.change)
			if got := RegisteredOnly(p, s, f); got != tt.want && (tt.want == "" || !strings.Contains(got, tt.want)) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A worker that shows its marker needs none of the signs, and a living run's are
// its own affair.
func TestJudgeRegistered(t *testing.T) {
	p, s, f := hidden(Process{ID: ID{PID: 50}}, nil)
	if verdict, evidence := Judge(p, s, f); verdict != Foreign || !strings.Contains(evidence[len(evidence)-1], "(tmux) is none") {
		t.Errorf("below a shell: %s, %q", verdict, evidence)
	}
	f.Lock, f.Supervisor = LockHeld, idOf(50)
	f.Supervisor = ID{PID: 50, Start: 50, Boot: "b"}
	if verdict, evidence := Judge(p, s, f); verdict != Managed {
		t.Errorf("of a living run: %s, %q", verdict, evidence)
	}
	p, s, f = hidden(Process{ID: ID{PID: 1}}, nil)
	if verdict, evidence := Judge(p, s, f); verdict != Orphan || !strings.Contains(evidence[len(evidence)-1], "its environment is overwritten") {
		t.Errorf("below init: %s, %q", verdict, evidence)
	}
	marked, _ := s.Find(101)
	marked.SID = 50
	if verdict, evidence := Judge(marked, s, f); verdict != Orphan {
		t.Errorf("with its marker: %s, %q", verdict, evidence)
	}
}
