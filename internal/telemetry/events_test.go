package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

func open(t *testing.T, logger *slog.Logger) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	log, err := Open(path, "demo", logger)
	if err != nil {
		t.Fatal(err)
	}
	return log, path
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		t.Errorf("the last line has no end: %q", text)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// These lines are what people script against: the names are promises.
func TestEventLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
	two := 2
	zero := 0
	log, path := open(t, nil)
	log.Observe(pool.Event{
		Time: at, Pool: "default", Worker: "default-3", From: pool.Starting, To: pool.Ready,
		Incarnation: 2, PID: 42, Port: 4000, Reason: "answers",
	})
	log.Emit(Record{Time: at, Event: OrphansFound, Count: &two, PIDs: []int{7, 8}, Reason: "the supervisor died"})
	log.Emit(Record{Time: at, Event: CleanupSuccess, Count: &zero})
	log.Emit(Record{Time: at, Event: RunStarting, RunID: "another", PID: 5})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"time":"2026-01-02T02:04:05Z","run_id":"demo","event":"worker_state","pool":"default","worker":"default-3","from":"starting","to":"ready","incarnation":2,"pid":42,"port":4000,"reason":"answers"}`,
		`{"time":"2026-01-02T02:04:05Z","run_id":"demo","event":"orphaned_processes_found","reason":"the supervisor died","count":2,"pids":[7,8]}`,
		`{"time":"2026-01-02T02:04:05Z","run_id":"demo","event":"cleanup_success","count":0}`,
		`{"time":"2026-01-02T02:04:05Z","run_id":"demo","event":"run_starting","pid":5}`,
	}
	if diff := cmp.Diff(want, lines(t, path)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTimeIsFilledIn(t *testing.T) {
	log, path := open(t, nil)
	before := time.Now()
	log.Emit(Record{Event: RunReady})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var got Record
	if err := json.Unmarshal([]byte(lines(t, path)[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Time.Before(before.Add(-time.Microsecond)) || got.Time.After(time.Now()) || got.Time.Location() != time.UTC {
		t.Errorf("time %v", got.Time)
	}
}

// Guard and supervisor write to the same file, one after the other.
func TestOpenAppends(t *testing.T) {
	log, path := open(t, nil)
	log.Emit(Record{Event: RunEnded})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, "demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	again.Emit(Record{Event: CleanupSuccess})
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, path); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestLinesStayWhole(t *testing.T) {
	log, path := open(t, nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 50 {
				log.Emit(Record{Event: WorkerState, Worker: fmt.Sprintf("default-%d", i), Reason: "a\nb\"c"})
			}
		})
	}
	wg.Wait()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	got := lines(t, path)
	if len(got) != 1000 {
		t.Errorf("%d lines", len(got))
	}
	for _, line := range got {
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Reason != "a\nb\"c" {
			t.Fatalf("%q: %v", line, err)
		}
	}
}

// An event that could not be written does not stop the run, and is not hidden.
func TestCloseTellsOfFailedWrites(t *testing.T) {
	log, _ := open(t, nil)
	if err := log.file.Close(); err != nil {
		t.Fatal(err)
	}
	log.Emit(Record{Event: RunReady})
	if err := log.Close(); err == nil || !strings.Contains(err.Error(), "cannot write to the event log") {
		t.Errorf("got %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "no", "dir"), "demo", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Somebody waits for the other end of a pipe for ever, and holds the run's lock.
func TestOpenDoesNotWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		_, err := Open(path, "demo", nil)
		opened <- err
	}()
	select {
	case err := <-opened:
		if err == nil || !strings.Contains(err.Error(), "it is a named pipe") {
			t.Errorf("it says %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it hangs")
	}
}

func TestLevels(t *testing.T) {
	state := func(to pool.State) Record { return Record{Event: WorkerState, To: string(to)} }
	for want, records := range map[slog.Level][]Record{
		slog.LevelDebug: {state(pool.Pending), state(pool.Starting), state(pool.Stopping), state(pool.Releasing)},
		slog.LevelInfo:  {state(pool.Ready), state(pool.Stopped), {Event: RunStarting}, {Event: GuardStarted}, {Event: CleanupSuccess}},
		slog.LevelWarn:  {state(pool.Backoff), state(pool.Blocked), {Event: OrphansFound}, {Event: EmergencyKill}},
		slog.LevelError: {state(pool.Failed)},
	} {
		for _, r := range records {
			if got := levelOf(r); got != want {
				t.Errorf("%s %s is %s, want %s", r.Event, r.To, got, want)
			}
		}
	}
}

// What the log for people shows: what is known, and nothing empty.
func TestLogger(t *testing.T) {
	var text bytes.Buffer
	plain := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log, _ := open(t, slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: plain})))
	one := 1
	log.Observe(pool.Event{Worker: "default-0", From: pool.Ready, To: pool.Failed, PID: 9, Reason: "gave up"})
	log.Observe(pool.Event{Worker: "default-0", To: pool.Starting}) // too quiet for the handler
	log.Emit(Record{Event: EmergencyKill, Count: &one, PIDs: []int{9}})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	want := `level=ERROR msg=worker_state run_id=demo worker=default-0 from=ready state=failed pid=9 reason="gave up"
level=WARN msg=emergency_cleanup run_id=demo count=1 pids=[9]
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
