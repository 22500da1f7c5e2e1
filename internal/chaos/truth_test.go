package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// toldRun is a run of PID 11 to 13 whose files say what is given.
func toldRun(t *testing.T, end endFile, events ...string) *run {
	t.Helper()
	s := &stage{dir: t.TempDir(), opts: Options{Pool: Pool{Guard: "kill"}, Watcher: &journal{}}, rand: source(1, "x")}
	r := s.newRunAs("chaos-x")
	for pid := 11; pid <= 13; pid++ {
		r.seen[ident{pid: pid}] = process{ident: ident{pid: pid}}
	}
	r.seen[ident{pid: 14}] = process{ident: ident{pid: 14}, args: []string{"snakepit", "supervise"}}
	if err := os.MkdirAll(r.dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"state": "ended", "end": end})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"run.json": string(text), "events.jsonl": strings.Join(events, "\n")} {
		if err := os.WriteFile(filepath.Join(r.dir(), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// Every lie of a record or of the events is told.
func TestTruth(t *testing.T) {
	const success = `{"event":"cleanup_success","count":0}`
	const found2 = `{"event":"orphaned_processes_found","count":2,"pids":[11,12]}`
	const killed2, killed1 = `{"event":"emergency_cleanup","count":2,"pids":[11,12]}`, `{"event":"emergency_cleanup","count":1,"pids":[12]}`
	died := endFile{How: "supervisor_died", Found: []int{11, 12}, Killed: []int{12}}
	with := func(change func(*endFile)) endFile { e := died; change(&e); return e }
	owned := func(pid int) (endFile, []string) { // who was ended is not a worker, and all say so
		list := fmt.Sprintf("[11,12,%d]", pid)
		e := endFile{How: "supervisor_died", Found: []int{11, 12, pid}, Killed: []int{11, 12, pid}}
		return e, []string{
			`{"event":"run_ready","pid":14}`, `{"event":"guard_started","pid":15}`,
			`{"event":"orphaned_processes_found","count":3,"pids":` + list + `}`, `{"event":"emergency_cleanup","count":3,"pids":` + list + `}`,
		}
	}
	supervisor, supervisorTold := owned(14)
	guard, guardTold := owned(15)
	const swept = `{"event":"orphaned_processes_found","count":1,"pids":[7],"source":"start"}`
	clean := endFile{How: "stopped", Confirmed: true}
	for name, tt := range map[string]struct {
		end    endFile
		events []string
		want   ending
		hurt   []int
		lie    string
	}{
		"nothing to find":        {clean, []string{success}, ending{"stopped", true}, nil, ""},
		"one killed":             {died, []string{found2, killed1}, ending{"supervisor_died", false}, []int{12}, ""},
		"another end":            {clean, []string{success}, ending{"supervisor_died", false}, nil, "it ended as"},
		"not confirmed":          {endFile{How: "stopped"}, []string{success}, ending{"stopped", true}, nil, "confirmed is false"},
		"confirmed all the same": {with(func(e *endFile) { e.Confirmed = true }), []string{found2, killed1}, ending{"supervisor_died", false}, []int{12}, "confirmed is true"},
		"somebody, for nobody":   {with(func(e *endFile) { e.How = "stopped" }), []string{found2, killed1}, ending{"stopped", true}, nil, "nothing to find"},
		"not found":              {clean, []string{success}, ending{"stopped", false}, []int{12}, "had to be found"},
		"not killed":             {died, []string{found2, killed1}, ending{"supervisor_died", false}, []int{11}, "had to be killed"},
		"a stranger":             {with(func(e *endFile) { e.Found = []int{11, 12, 99} }), nil, ending{"supervisor_died", false}, []int{12}, "the run had only"},
		"killed, but not found":  {with(func(e *endFile) { e.Killed = []int{12, 13} }), nil, ending{"supervisor_died", false}, []int{12}, "found only"},
		"survivors":              {with(func(e *endFile) { e.Survivors = []int{11} }), nil, ending{"supervisor_died", false}, []int{12}, "survivors"},
		"the supervisor":         {supervisor, supervisorTold, ending{"supervisor_died", false}, []int{12}, "supervisor or guard is among them"},
		"the guard":              {guard, guardTold, ending{"supervisor_died", false}, []int{12}, "supervisor or guard is among them"},
		"somebody twice":         {with(func(e *endFile) { e.Found = []int{11, 12, 12} }), nil, ending{"supervisor_died", false}, []int{12}, "twice"},
		"events say nothing":     {died, nil, ending{"supervisor_died", false}, []int{12}, "emergency_cleanup is told 0 times"},
		"events say success":     {died, []string{success}, ending{"supervisor_died", false}, []int{12}, "cleanup_success"},
		"found twice":            {died, []string{found2, found2, killed1}, ending{"supervisor_died", false}, []int{12}, "the verdicts told are"},
		"killed twice":           {died, []string{found2, killed1, killed1}, ending{"supervisor_died", false}, []int{12}, "told 2 times, wanted 1"},
		"both twice":             {died, []string{found2, killed1, found2, killed1}, ending{"supervisor_died", false}, []int{12}, "told 2 times, wanted 1"},
		"success twice":          {clean, []string{success, success}, ending{"stopped", true}, nil, "the verdicts told are"},
		"killed, and success":    {clean, []string{success, killed1}, ending{"stopped", true}, nil, "told 1 times, wanted 0"},
		"no count":               {clean, []string{`{"event":"cleanup_success"}`}, ending{"stopped", true}, nil, "a count of nothing"},
		"killed others":          {died, []string{found2, strings.Replace(killed1, "[12]", "[11]", 1)}, ending{"supervisor_died", false}, []int{12}, "emergency_cleanup names PID [11], the record [12]"},
		"killed another count":   {died, []string{found2, strings.Replace(killed1, `"count":1`, `"count":2`, 1)}, ending{"supervisor_died", false}, []int{12}, "emergency_cleanup with a count of 2, record 1"},
		"of other, dead runs":    {clean, []string{swept, success}, ending{"stopped", true}, nil, ""},
		"another count":          {died, []string{strings.Replace(found2, `"count":2`, `"count":3`, 1), killed1}, ending{"supervisor_died", false}, []int{12}, "a count of 3"},
		"others":                 {died, []string{strings.Replace(found2, "[11,12]", "[11,13]", 1), killed1}, ending{"supervisor_died", false}, []int{12}, "orphaned_processes_found"},
		"more killed":            {died, []string{found2, killed2}, ending{"supervisor_died", false}, []int{12}, "emergency_cleanup with a count of 2, record 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := toldRun(t, tt.end, tt.events...)
			r.stage.checkEnd(r, tt.want, tt.hurt)
			var lies []string
			for _, c := range r.stage.checks {
				if !c.Passed {
					lies = append(lies, c.Detail)
				}
			}
			if text := strings.Join(lies, "\n"); tt.lie == "" && text != "" || !strings.Contains(text, tt.lie) {
				t.Errorf("got %q, want one about %q", text, tt.lie)
			}
		})
	}
}

// What lies about after the end of a run is told.
func TestDisk(t *testing.T) {
	for name, tt := range map[string]struct {
		leave func(t *testing.T, r *run)
		want  string
	}{
		"nothing": {func(*testing.T, *run) {}, ""},
		"socket": {func(t *testing.T, r *run) {
			write(t, r.socket(), "")
		}, "the socket is there"},
		"registry": {func(t *testing.T, r *run) {
			write(t, filepath.Join(r.dir(), "workers.json"), `{"workers":[{"worker":"default-0","pid":7}]}`)
		}, "1 worker"},
		"broken registry": {func(t *testing.T, r *run) {
			write(t, filepath.Join(r.dir(), "workers.json"), `{"workers":[`)
		}, "cannot read the registry"},
		"empty registry": {func(t *testing.T, r *run) {
			write(t, filepath.Join(r.dir(), "workers.json"), `{"workers":[]}`)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := toldRun(t, endFile{})
			tt.leave(t, r)
			r.stage.checkDisk(r)
			if c := r.stage.checks[0]; c.Passed != (tt.want == "") || !strings.Contains(c.Detail, tt.want) {
				t.Errorf("%+v, want %q", c, tt.want)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A port that a socket of the run holds is told; one that a stranger has got is not
// held against the run.
func TestPorts(t *testing.T) {
	listener, err := bind("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := portOf(t, listener.Addr().String())
	for name, tt := range map[string]struct {
		sockets map[string]bool
		passed  bool
	}{
		"of the run":    {map[string]bool{first(listeners(port)): true}, false},
		"of a stranger": {map[string]bool{"1": true}, true},
		"not known":     {nil, false},
	} {
		if name == "of a stranger" && len(listeners(port)) == 0 {
			continue // sockets cannot be told apart here
		}
		r := toldRun(t, endFile{})
		r.sockets[port] = tt.sockets
		if r.listens(port) == tt.passed {
			t.Errorf("%s: listens %v", name, r.listens(port))
		}
	}
	if err := free("127.0.0.1", port); !isInUse(err) {
		t.Errorf("a port on which somebody listens: %v", err)
	}
	if err := answers("0.0.0.0", port); err != nil {
		t.Error(err)
	}
	listener.Close()
	if err := free("127.0.0.1", port); err != nil {
		t.Error(err)
	}
}

// A claim that nothing is left is recognised in both of its wordings.
func TestClaims(t *testing.T) {
	for text, want := range map[string]bool{
		"○ stopped  run x stopped. No orphaned processes: supervision cleaned up":                true,
		"run x stopped. The supervisor has looked and found no survivors; no guard has":          true,
		"run x stopped. Nothing is left, but supervision had not cleaned up":                     false,
		"error: run \"x\" stopped, but not cleanly: see the 1 lines above":                       false,
		"the guard found 1 orphaned processes and killed 1: PID [7]; this indicates a bug in it": false,
	} {
		if got := (printed{err: text, took: time.Second}).claimsClean(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
