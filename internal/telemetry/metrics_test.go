package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape serves the metrics, reads them, and ends the server.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := m.Serve(listener, slog.New(slog.DiscardHandler))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("http://" + listener.Addr().String() + MetricsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", answer.Status, err)
	}
	if err := server.Close(time.Second); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
	return string(text)
}

// expect wants each line to be there, as it stands.
func expect(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("not there: %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// walk takes a worker of m through states, a second in each.
func walk(m *Metrics, worker string, causes map[pool.State]string, states ...pool.State) {
	at := time.Unix(1000, 0)
	for i, to := range states[1:] {
		at = at.Add(time.Second)
		m.Receive(Record{
			Time: at, RunID: m.runID, Event: WorkerState, Pool: "p", Worker: worker,
			From: string(states[i]), To: string(to), Cause: causes[to],
		})
	}
}

func TestMetricsOfWorkers(t *testing.T) {
	m := NewMetrics("r")
	m.AddPool("p")
	walk(m, "p-0", nil, pool.Pending, pool.Pending, pool.Starting, pool.Ready)
	walk(m, "p-1", map[pool.State]string{pool.Backoff: "SIGSEGV"},
		pool.Pending, pool.Starting, pool.Ready, pool.Releasing, pool.Backoff, pool.Pending, pool.Starting, pool.Ready)
	expect(
		t, scrape(t, m),
		`snakepit_worker_restarts_total{pool="p",reason="SIGSEGV",run_id="r"} 1`,
		`snakepit_worker_restarts_total{pool="p",reason="exit",run_id="r"} 0`,
		`snakepit_restart_phase_seconds_count{phase="releasing",run_id="r"} 1`,
		`snakepit_restart_phase_seconds_sum{phase="backoff",run_id="r"} 1`,
		`snakepit_restart_phase_seconds_count{phase="starting",run_id="r"} 1`,
		`snakepit_restart_phase_seconds_count{phase="stopping",run_id="r"} 0`,
		`snakepit_restart_seconds_count{pool="p",run_id="r"} 1`,
		`snakepit_restart_seconds_sum{pool="p",run_id="r"} 4`,
	)
}

// A worker that was given up, or stopped, and comes back long after was away for as
// long as its start took.
func TestRestartsOutOfRest(t *testing.T) {
	m := NewMetrics("r")
	m.AddPool("p")
	wanted := map[pool.State]string{pool.Pending: "request"}
	walk(m, "p-0", wanted, pool.Ready, pool.Stopping, pool.Stopped, pool.Pending, pool.Starting, pool.Ready)
	walk(m, "p-1", wanted, pool.Starting, pool.Failed, pool.Pending, pool.Starting, pool.Ready)
	expect(t, scrape(t, m), `snakepit_restart_seconds_count{pool="p",run_id="r"} 2`, `snakepit_restart_seconds_sum{pool="p",run_id="r"} 4`)
}

func TestMetricsOfTheGuard(t *testing.T) {
	m := NewMetrics("r")
	if text := scrape(t, m); strings.Contains(text, "guard_up") {
		t.Error("a guard that nobody wants is down: ", text)
	}
	m.ExpectGuard()
	expect(t, scrape(t, m), `snakepit_guard_up{run_id="r"} 0`)
	m.Receive(Record{RunID: "r", Event: GuardStarted})
	expect(t, scrape(t, m), `snakepit_guard_up{run_id="r"} 1`)
	m.Receive(Record{RunID: "r", Event: GuardDied})
	expect(t, scrape(t, m), `snakepit_guard_up{run_id="r"} 0`)
}

// somePool is in whatever states it is given.
type somePool []pool.State

func (somePool) Name() string { return "p" }
func (somePool) Desired() int { return 4 }

func (p somePool) Status() []pool.Status {
	var all []pool.Status
	for _, state := range p {
		all = append(all, pool.Status{State: state})
	}
	return all
}

// What is asked for is what is there at that moment, also after the pool has grown.
func TestMetricsOfPools(t *testing.T) {
	m := NewMetrics("r")
	m.Watch([]Pool{somePool{pool.Ready}})
	expect(t, scrape(t, m), `snakepit_ready_workers{pool="p",run_id="r"} 1`)
	m.Watch([]Pool{somePool{pool.Ready, pool.Ready, pool.Failed}})
	expect(
		t, scrape(t, m),
		`snakepit_desired_workers{pool="p",run_id="r"} 4`,
		`snakepit_ready_workers{pool="p",run_id="r"} 2`,
		`snakepit_workers{pool="p",run_id="r",state="ready"} 2`,
		`snakepit_workers{pool="p",run_id="r",state="failed"} 1`,
		`snakepit_workers{pool="p",run_id="r",state="starting"} 0`,
	)
}

// A stop, and a first start that fails, are no restarts.
func TestPhasesOfWhatIsNoRestart(t *testing.T) {
	m := NewMetrics("r")
	m.AddPool("p")
	walk(m, "p-0", nil, pool.Pending, pool.Starting, pool.Ready, pool.Stopping, pool.Releasing, pool.Stopped)
	walk(m, "p-1", nil, pool.Pending, pool.Starting, pool.Stopping, pool.Releasing, pool.Failed)
	expect(
		t, scrape(t, m),
		`snakepit_restart_phase_seconds_count{phase="starting",run_id="r"} 0`,
		`snakepit_restart_phase_seconds_count{phase="stopping",run_id="r"} 0`,
		`snakepit_restart_phase_seconds_count{phase="releasing",run_id="r"} 0`,
		`snakepit_restart_seconds_count{pool="p",run_id="r"} 0`,
	)
}

func TestMetricsOfCleanups(t *testing.T) {
	m := NewMetrics("r")
	expect(
		t, scrape(t, m),
		`snakepit_orphaned_processes_found_total{run_id="r",source="guard"} 0`,
		`snakepit_emergency_cleanup_total{run_id="r",source="start"} 0`,
		`snakepit_cleanup_success_total{run_id="r"} 0`,
		`snakepit_cleanup_survivors_total{run_id="r"} 0`,
	)
	for _, e := range (Findings{Confirmed: true}).Events("") {
		e.RunID = "r"
		m.Receive(e)
	}
	for _, e := range (Findings{Source: SourceGuard, Found: []int{1, 2, 3}, Killed: []int{1, 2}}).Events("why") {
		e.RunID = "r"
		m.Receive(e)
	}
	m.AddEarlier(Findings{Source: SourceKillOrphans, Found: []int{7}, Killed: []int{7}})
	ended := []Findings{
		{RunID: "crashed", Survivors: []int{5}},
		{RunID: "crashed", Source: SourceGuard, Found: []int{4, 5}, Killed: []int{4}},
		{RunID: "r", Source: SourceGuard, Found: []int{8, 9}}, // itself, which has counted it
	}
	m.WatchEnded(func() []Findings { return ended })
	expect(t, scrape(t, m), `snakepit_orphaned_processes_found_total{run_id="crashed",source="kill-orphans"} 0`)
	// What happens afterwards is shown as well.
	ended = append(
		ended,
		Findings{RunID: "crashed", Source: SourceKillOrphans, Found: []int{6}, Killed: []int{5, 6}},
		Findings{RunID: "clean", Confirmed: true},
	)
	expect(
		t, scrape(t, m),
		`snakepit_cleanup_success_total{run_id="r"} 1`,
		`snakepit_cleanup_success_total{run_id="clean"} 1`,
		`snakepit_orphaned_processes_found_total{run_id="r",source="guard"} 3`,
		`snakepit_emergency_cleanup_total{run_id="r",source="guard"} 2`,
		`snakepit_orphaned_processes_found_total{run_id="r",source="kill-orphans"} 1`,
		`snakepit_orphaned_processes_found_total{run_id="crashed",source="guard"} 2`,
		`snakepit_emergency_cleanup_total{run_id="crashed",source="guard"} 1`,
		`snakepit_orphaned_processes_found_total{run_id="crashed",source="kill-orphans"} 1`,
		`snakepit_emergency_cleanup_total{run_id="crashed",source="kill-orphans"} 2`,
		`snakepit_emergency_cleanup_total{run_id="crashed",source="start"} 0`,
		`snakepit_cleanup_survivors_total{run_id="crashed"} 1`,
		`snakepit_orphaned_processes_found_total{run_id="clean",source="guard"} 0`,
	)
}

func TestMetricsOfCallsAndScans(t *testing.T) {
	m := NewMetrics("r")
	m.AddPool("p")
	for result, err := range map[string]error{
		"ok": nil, "tool_error": fmt.Errorf("x: %w", &pool.ToolError{Type: "T"}), "worker_died": fmt.Errorf("%w: x", pool.ErrWorkerDied),
		"timeout": fmt.Errorf("x: %w", context.DeadlineExceeded), "cancelled": context.Canceled,
		"refused": fmt.Errorf("%w: x", pool.ErrNoWorker), "error": errors.New("x"),
	} {
		before := resultOf(err)
		m.ObserveCall(pool.Called{Pool: "p", Took: 20 * time.Millisecond, Err: err})
		if before != result {
			t.Errorf("%v is %s, want %s", err, before, result)
		}
	}
	m.ObserveScan(3 * time.Millisecond)
	expect(
		t, scrape(t, m),
		`snakepit_calls_total{pool="p",result="ok",run_id="r"} 1`,
		`snakepit_calls_total{pool="p",result="worker_died",run_id="r"} 1`,
		`snakepit_call_seconds_count{pool="p",run_id="r"} 7`,
		`snakepit_call_seconds_bucket{pool="p",run_id="r",le="0.01"} 0`,
		`snakepit_call_seconds_bucket{pool="p",run_id="r",le="0.025"} 7`,
		`snakepit_scan_seconds_count{run_id="r"} 1`,
	)
}

// Two runs in one process count apart: nothing is global.
func TestMetricsAreOfOneRun(t *testing.T) {
	one, two := NewMetrics("one"), NewMetrics("two")
	one.AddPool("p")
	two.AddPool("p")
	if text := scrape(t, two); strings.Contains(text, `"one"`) || !strings.Contains(text, "go_goroutines ") {
		t.Error(text)
	}
}

func TestLogTellsEverySink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	m := NewMetrics("r")
	m.AddPool("p")
	var logged strings.Builder
	log, err := Open(path, "r", NewLogger(&logged, true), m)
	if err != nil {
		t.Fatal(err)
	}
	log.Observe(pool.Event{Pool: "p", Worker: "p-0", From: pool.Pending, To: pool.Starting, PID: 7, Incarnation: 1, Cause: "exit"})
	none := 0
	log.Relay(Record{Event: CleanupSuccess, Count: &none})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, scrape(t, m), `snakepit_worker_restarts_total{pool="p",reason="exit",run_id="r"} 1`, `snakepit_cleanup_success_total{run_id="r"} 1`)
	// What is relayed has been written by somebody else already.
	if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"DEBUG","msg":"worker_state","run_id":"r","pool":"p","worker":"p-0"`) {
		t.Error(got)
	}
	if got := readLines(t, path); len(got) != 1 {
		t.Error(got)
	}
}
