package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/orphans"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// estate is a worker of a host of another kind, which has died: an orphan below
// a reaper, without any file.
type estate struct {
	PID, Port int
	run       string
	reaper    *exec.Cmd
}

// leave makes an estate in a sandbox. It ends with the test at the latest.
func leave(t *testing.T, s *sandbox, run string) *estate {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs a child subreaper, which only Linux has")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e := &estate{run: run, reaper: exec.Command(self)}
	e.reaper.Args = []string{"systemd", run}
	e.reaper.Dir, e.reaper.Env, e.reaper.Stderr = s.dir, s.env, os.Stderr
	if err := e.reaper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.end() })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) { // a file does not tell
		said, err := os.ReadFile(filepath.Join(s.dir, "started"))
		if err == nil && json.Unmarshal(said, e) == nil {
			return e
		}
		if time.Now().After(deadline) {
			t.Fatal("the worker has not started")
		}
	}
}

func (e *estate) end() {
	if id, err := procscan.Lookup(e.PID); e.PID != 0 && err == nil {
		procscan.EndRun(context.Background(), e.run, func(p procscan.Process) bool { return p.ID != id }, procscan.EndOptions{})
	}
	_ = e.reaper.Process.Signal(syscall.SIGTERM)
	_ = e.reaper.Wait()
}

// TestOrphansJSON: every field of the document says what is the case.
func TestOrphansJSON(t *testing.T) {
	s := newSandbox(t)
	e := leave(t, s, newRunID(t))
	out, err := s.command("orphans", "--run-id", e.run, "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got promisedOrphans
	if err := promised(string(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.SchemaVersion != 1 || got.Scanned < 3 || len(got.Processes) != 1 {
		t.Fatalf("%+v", got)
	}
	id, err := procscan.Lookup(e.PID)
	if err != nil {
		t.Fatal(err)
	}
	at, err := procscan.StartedAt(id)
	if err != nil {
		t.Fatal(err)
	}
	p := got.Processes[0]
	said, err := time.Parse(time.RFC3339Nano, p.StartedAt)
	if err != nil || said.Sub(at).Abs() > time.Second || !strings.HasSuffix(p.StartedAt, "Z") {
		t.Errorf("started at %s, want %s: %v", p.StartedAt, at, err)
	}
	p.StartedAt = ""
	want := got.Processes[0]
	want.StartedAt = ""
	want.PID, want.PPID, want.RunID, want.Verdict = e.PID, e.reaper.Process.Pid, e.run, "orphan"
	want.Command = "left-worker grpc_server.py " + procscan.RunIDFlag + " " + e.run
	want.Ports = []int{e.Port}
	want.Evidence = []string{
		"argument " + procscan.RunIDFlag + " " + e.run,
		`entry point "grpc_server.py"`,
		"its parent is PID " + strconv.Itoa(want.PPID) + " (systemd), which takes the processes whose parents have ended",
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, args := range map[string][]string{
		"none":    {"orphans", "--run-id", e.run + "x", "-o", "json"},
		"dry run": {"kill-orphans", "--run-id", e.run, "-o", "json", "--dry-run"},
	} {
		out, err := s.command(args...).Output()
		var document promisedOrphans
		if err := promised(string(out), &document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(document.Processes); err != nil || n != map[string]int{"dry run": 1}[name] {
			t.Errorf("%s: %d processes, %v", name, n, err)
		}
	}
}

// TestOrphansWatchJSON: one document a line, and what comes and goes is seen.
func TestOrphansWatchJSON(t *testing.T) {
	s, run := newSandbox(t), newRunID(t)
	out, interrupt := startWatch(t, s, run, "-o", "json")
	documents := json.NewDecoder(out)
	next := func() []int {
		var document promisedOrphans
		if err := documents.Decode(&document); err != nil {
			t.Fatal(err)
		}
		if document.SchemaVersion != 1 || document.Scanned == 0 {
			t.Fatalf("%+v", document)
		}
		var pids []int
		for _, p := range document.Processes {
			pids = append(pids, p.PID)
		}
		return pids
	}
	if got := next(); len(got) > 0 {
		t.Errorf("before there is one: %v", got)
	}
	e := leave(t, s, run)
	got := next()
	for len(got) == 0 {
		got = next()
	}
	if diff := cmp.Diff([]int{e.PID}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	e.end()
	for len(next()) > 0 {
	}
	interrupt()
}

// TestOrphansWatch: without a terminal, each look is a text below its time.
func TestOrphansWatch(t *testing.T) {
	s, run := newSandbox(t), newRunID(t)
	out, interrupt := startWatch(t, s, run)
	lines := bufio.NewScanner(out)
	next := func() string {
		if !lines.Scan() {
			t.Fatal("no more lines: ", lines.Err())
		}
		return lines.Text()
	}
	if at, err := time.Parse(time.RFC3339, next()); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("a look begins with its time: %v", err)
	}
	if got := next(); !strings.HasPrefix(got, "no orphans among ") {
		t.Errorf("%q", got)
	}
	e := leave(t, s, run)
	row := next()
	for !strings.Contains(row, strconv.Itoa(e.Port)) { // a look before it listened may come first
		row = next()
	}
	for _, part := range []string{strconv.Itoa(e.PID), run, "✗ orphan", "left-worker grpc_server.py"} {
		if !strings.Contains(row, part) {
			t.Errorf("no %q in %q", part, row)
		}
	}
	if got, want := next()+next(), "next:  kill them: snakepit kill-orphans --run-id "+run; got != want {
		t.Errorf("below it: %q, want %q", got, want)
	}
	interrupt()
}

// startWatch runs orphans --watch. What it says comes out of the reader;
// interrupt is Ctrl-C, after which it must end well.
func startWatch(t *testing.T, s *sandbox, run string, more ...string) (out io.Reader, interrupt func()) {
	t.Helper()
	watch := s.command(append([]string{"orphans", "--run-id", run, "--watch", "--interval", "100ms"}, more...)...)
	watch.Stderr = os.Stderr
	pipe, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { _ = watch.Process.Kill() })
	t.Cleanup(func() {
		limit.Stop()
		_ = watch.Process.Kill()
		_ = watch.Wait()
	})
	return pipe, func() {
		t.Helper()
		if err := watch.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, pipe); err != nil {
			t.Error(err)
		}
		if err := watch.Wait(); err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
	}
}

// TestOrphansJSONCountsTheUnseen: none found is not the same as none seen.
func TestOrphansJSONCountsTheUnseen(t *testing.T) {
	text, err := json.Marshal(orphansDocumentOf(orphans.Report{Scanned: 9, Unreadable: 2}))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"schema_version":1,"scanned":9,"unreadable":2,"processes":[]}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
