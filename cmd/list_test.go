package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/adrg/xdg"
	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// fakeRun answers for a run without workers.
type fakeRun struct{ control.Description }

func (r fakeRun) Describe() control.Description                  { return r.Description }
func (fakeRun) Pools() []*pool.Pool                              { return nil }
func (fakeRun) Stop(control.StopOptions) (s control.StopSummary) { return s }

// stateHome makes a state directory of the test's own. Its path is short,
// because that of a socket must be.
func stateHome(t *testing.T) string {
	t.Helper()
	t.Cleanup(xdg.Reload) // runs when the variable has its old value again
	dir, err := os.MkdirTemp("", "pit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_STATE_HOME", dir)
	xdg.Reload()
	return dir
}

// holdRun makes a run whose lock this test holds, until the test ends or it
// closes the run.
func holdRun(t *testing.T, record rundir.Record, id string) *rundir.Run {
	t.Helper()
	run, err := rundir.Create(t.Context(), stateRoot(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	if err := run.WriteRecord(record); err != nil {
		t.Fatal(err)
	}
	return run
}

// listen opens the socket of a run.
func listen(t *testing.T, home, id string) (socket string, listener net.Listener) {
	t.Helper()
	socket = filepath.Join(home, id+".sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return socket, listener
}

// serveRun makes a run whose supervisor answers.
func serveRun(t *testing.T, home, id string) {
	t.Helper()
	socket, listener := listen(t, home, id)
	self, err := procscan.Lookup(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	server := control.NewServer(fakeRun{control.Description{RunID: id, State: "running", Supervisor: self, Guard: procscan.ID{PID: 77}}}, os.Getuid())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with the listener
	}()
	t.Cleanup(func() {
		server.Close(0)
		<-done
	})
	holdRun(t, rundir.Record{State: rundir.StateRunning, Socket: socket, Supervisor: rundir.Process{PID: self.PID}}, id)
}

// endRun makes a run that has ended.
func endRun(t *testing.T, id string, at time.Time) *rundir.Run {
	t.Helper()
	run := holdRun(t, rundir.Record{
		State:      rundir.StateEnded,
		Supervisor: rundir.Process{PID: 4242, StartedAt: at.Add(-time.Minute)},
		End:        &rundir.End{At: at, How: rundir.EndStopped},
	}, id)
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	return run
}

// snakepit runs one command line in this process.
func snakepit(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	env := &Env{In: strings.NewReader(""), Out: &out, Err: &errOut, Now: func() time.Time { return noon }, Getenv: os.Getenv}
	root := newRoot(env)
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		code = explain(&errOut, err)
	}
	return code, out.String(), errOut.String()
}

func TestListNothing(t *testing.T) {
	home := stateHome(t)
	code, out, errOut := snakepit(t, "list")
	if code != 0 || out != "" || !strings.Contains(errOut, "no run is alive; start one: snakepit start --workers 8") {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, errOut)
	}
	code, out, errOut = snakepit(t, "ls", "-o", "json")
	if diff := cmp.Diff("{\n  \"schema_version\": 1,\n  \"runs\": []\n}\n", out); code != 0 || errOut != "" || diff != "" {
		t.Errorf("code %d, stderr %q, (-want +got):\n%s", code, errOut, diff)
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func TestListRuns(t *testing.T) {
	home := stateHome(t)
	serveRun(t, home, "one")
	serveRun(t, home, "two")
	endRun(t, "over", noon.Add(-time.Hour))

	code, out, errOut := snakepit(t, "list", "-o", "json")
	if code != 0 || errOut != "" {
		t.Fatalf("code %d, stderr %q", code, errOut)
	}
	var document listDocument
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, run := range document.Runs {
		got = append(got, run.RunID+" "+run.State)
		if run.Supervisor.PID != os.Getpid() || run.Guard == nil || run.Guard.PID != 77 || run.Message != "" {
			t.Errorf("run %+v", run)
		}
	}
	if diff := cmp.Diff([]string{"one running", "two running"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	code, out, _ = snakepit(t, "list", "--run-id", "two")
	if code != 0 || !strings.HasPrefix(out, "two  ● running  supervisor ") || strings.Contains(out, "one") {
		t.Errorf("code %d, stdout %q", code, out)
	}
	code, out, _ = snakepit(t, "list", "--run-id", "two", "--tree")
	if code != 0 || !strings.Contains(out, "supervisor") || !strings.Contains(out, "└─ guard") {
		t.Errorf("code %d, stdout %q", code, out)
	}
}

func TestListEndedRun(t *testing.T) {
	stateHome(t)
	endRun(t, "over", noon.Add(-time.Hour))
	code, out, errOut := snakepit(t, "list", "--run-id", "over")
	want := "over  ○ ended  supervisor 4242\n  stopped at 2026-03-04 11:00:00, after 1m00s\n"
	if diff := cmp.Diff(want, out); code != 0 || errOut != "" || diff != "" {
		t.Errorf("code %d, stderr %q, (-want +got):\n%s", code, errOut, diff)
	}
	code, _, errOut = snakepit(t, "list", "--run-id", "nobody")
	if code != exitNothing || !strings.Contains(errOut, `cannot find run "nobody"`) {
		t.Errorf("code %d, stderr %q", code, errOut)
	}
}

func TestHowEnded(t *testing.T) {
	started := noon.Add(-time.Minute)
	tests := []struct {
		name   string
		record *rundir.Record
		want   string
	}{
		{"no record", nil, "nothing is recorded of its end"},
		{"killed", &rundir.Record{State: rundir.StateRunning}, "its supervisor died, and nobody has cleaned up yet"},
		{"no details", &rundir.Record{State: rundir.StateEnded}, "ended"},
		{
			"cleaned up after", &rundir.Record{State: rundir.StateEnded, End: &rundir.End{At: noon, How: rundir.EndSupervisorDied, Survivors: []int{7, 8}}},
			"its supervisor died at 2026-03-04 12:00:00; survivors: [7 8]",
		},
		{
			"failed", &rundir.Record{
				State: rundir.StateEnded, Supervisor: rundir.Process{StartedAt: started},
				End: &rundir.End{At: noon, How: rundir.EndStartFailed, Reason: "no module"},
			},
			"failed to start at 2026-03-04 12:00:00, after 1m00s: no module",
		},
		{"in words of a later version", &rundir.Record{State: rundir.StateEnded, End: &rundir.End{At: noon, How: "vanished"}}, "vanished at 2026-03-04 12:00:00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, howEnded(test.record, time.UTC)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestListAsksAll: a supervisor that cannot be asked is shown, and hides nobody.
func TestListAsksAll(t *testing.T) {
	home := stateHome(t)
	serveRun(t, home, "fine")
	socket, _ := listen(t, home, "mute") // it takes connections and says nothing
	holdRun(t, rundir.Record{State: rundir.StateRunning, Socket: socket, Supervisor: rundir.Process{PID: 4343, StartedAt: noon}}, "mute")
	holdRun(t, rundir.Record{State: rundir.StateStarting, Socket: filepath.Join(home, "none.sock")}, "early")

	env := &Env{Now: func() time.Time { return noon }}
	o := &listOptions{env: env, patience: 300 * time.Millisecond}
	runs, warnings, err := o.look(t.Context())
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	var got []string
	for _, run := range runs {
		got = append(got, strings.TrimSpace(run.RunID+" "+run.State+" "+run.Message))
	}
	want := []string{
		"early unknown the supervisor does not answer; it is about to listen, or about to end",
		"fine running",
		"mute unknown the supervisor did not answer within 300ms",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if runs[2].Supervisor.PID != 4343 {
		t.Errorf("supervisor %+v, want the one on record", runs[2].Supervisor)
	}
}

func TestListBrokenRecord(t *testing.T) {
	home := stateHome(t)
	serveRun(t, home, "fine")
	broken := holdRun(t, rundir.Record{State: rundir.StateRunning}, "broken")
	if err := os.WriteFile(filepath.Join(broken.Path(), "run.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := snakepit(t, "list")
	if code != 0 || !strings.Contains(out, "fine  ● running") || !strings.Contains(out, "broken  ◌ unknown") {
		t.Errorf("code %d, stdout %q", code, out)
	}
	if !strings.Contains(errOut, "warning: cannot use "+filepath.Join(broken.Path(), "run.json")) {
		t.Errorf("stderr %q", errOut)
	}
}

func TestListUsage(t *testing.T) {
	stateHome(t)
	for _, args := range [][]string{
		{"list", "--tree", "-o", "json"},
		{"list", "--interval", "1s"},
		{"list", "--watch", "--interval", "1ms"},
		{"list", "-o", "xml"},
		{"list", "demo"},
	} {
		if code, out, errOut := snakepit(t, args...); code != exitUsage || out != "" || !strings.Contains(errOut, "--help") {
			t.Errorf("%v: code %d, stdout %q, stderr %q", args, code, out, errOut)
		}
	}
}

// countingWriter calls done at the nth write.
type countingWriter struct {
	bytes.Buffer
	n    int
	done func()
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.n--; w.n == 0 {
		w.done()
	}
	return w.Buffer.Write(p)
}

func TestListWatch(t *testing.T) {
	home := stateHome(t)
	serveRun(t, home, "one")
	watch := func(args ...string) string {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := &countingWriter{n: 3, done: cancel}
		c := newList(&Env{Out: out, Err: &bytes.Buffer{}, Now: func() time.Time { return noon }})
		c.SetArgs(append(args, "--watch", "--interval", "100ms"))
		if err := c.ExecuteContext(ctx); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	lines := strings.Split(strings.TrimSpace(watch("-o", "json")), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3: %q", len(lines), lines)
	}
	for _, line := range lines {
		var document listDocument
		if err := json.Unmarshal([]byte(line), &document); err != nil || len(document.Runs) != 1 {
			t.Errorf("%q: %v", line, err)
		}
	}
	table := watch()
	if strings.Count(table, "2026-03-04T12:00:00Z\none  ● running") != 3 || strings.Contains(table, "\x1b") {
		t.Errorf("%q", table)
	}
}
