package cmd

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// crashRun is a detached run whose supervisor will be killed.
type crashRun struct {
	id                string
	supervisor, guard *procscan.Handle // guard is nil when there is none
	workers           []*procscan.Handle
	key               string // of this life of the run: another may have its name
}

// startWatchedRun is startCrashRun with bystanders, those of the same name too.
// What ends them is for a test that starts the run once more.
func startWatchedRun(tb testing.TB, s *sandbox, id, layers string, workers int) (r *crashRun, endNamesakes func()) {
	tb.Helper()
	b := s.beside(tb, id)
	r = startCrashRun(tb, s, id, layers, workers)
	return r, b.withNamesakes(tb)
}

func newRunID(tb testing.TB) string {
	tb.Helper()
	id, err := config.NewRunID()
	if err != nil {
		tb.Fatal(err)
	}
	return "t-" + id
}

// startCrashRun starts a run with the layers named; "" is all of them.
func startCrashRun(tb testing.TB, s *sandbox, id, layers string, workers int, flags ...string) *crashRun {
	tb.Helper()
	args := []string{"start", "-d", "--workers", strconv.Itoa(workers), "--run-id", id, "-o", "json"}
	return hold(tb, id, s.mustRun(tb, layers, append(args, flags...)...))
}

// hold takes the processes that the document of a start names.
func hold(tb testing.TB, id, started string) *crashRun {
	tb.Helper()
	list, err := parsePromised(started)
	if err != nil {
		tb.Fatal(err)
	}
	run := list.Runs[0]
	r := &crashRun{id: id, supervisor: holdProcess(tb, run.Supervisor.PID)}
	if run.Guard != nil {
		r.guard = holdProcess(tb, run.Guard.PID)
	}
	for _, w := range run.Pools[0].Workers {
		r.workers = append(r.workers, holdProcess(tb, w.PID))
	}
	all, err := procscan.Scan(tb.Context(), procscan.Options{ReadEnv: true})
	if err != nil {
		tb.Fatal(err)
	}
	if p, found := all.Find(run.Pools[0].Workers[0].PID); found {
		r.key = p.Key
	}
	return r
}

// mustRun runs a command line with SNAKEPIT_TEST_LAYERS set, and returns what it
// printed to standard output.
func (s *sandbox) mustRun(tb testing.TB, layers string, args ...string) string {
	tb.Helper()
	cmd := s.command(args...)
	cmd.Env = append(slices.Clip(cmd.Env), layersVariable+"="+layers)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("snakepit %s: %v\n%s", strings.Join(args, " "), err, errors.String())
	}
	return string(out)
}

// runs is where the runs of the sandbox are.
func (s *sandbox) runs() string {
	for _, entry := range s.env {
		if home, ok := strings.CutPrefix(entry, "XDG_STATE_HOME="); ok {
			return runsIn(home)
		}
	}
	return ""
}

func holdProcess(tb testing.TB, pid int) *procscan.Handle {
	tb.Helper()
	id, err := procscan.Lookup(pid)
	if err != nil {
		tb.Fatalf("PID %d: %v", pid, err)
	}
	handle, err := procscan.Open(id)
	if err != nil {
		tb.Fatalf("PID %d: %v", pid, err)
	}
	tb.Cleanup(func() { handle.Close() })
	return handle
}

func (r *crashRun) kill(tb testing.TB, processes ...*procscan.Handle) {
	tb.Helper()
	for _, p := range processes {
		if err := p.Signal(syscall.SIGKILL); err != nil {
			tb.Fatal(err)
		}
	}
}

// mustDie kills processes in the same instant, none of which sees the others
// die, and waits for their end: the lock of a supervisor is free a moment after
// its workers have noticed.
func (r *crashRun) mustDie(t *testing.T, processes ...*procscan.Handle) {
	t.Helper()
	for _, p := range processes {
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	r.kill(t, processes...)
	for _, p := range processes {
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitWorkers waits for the end of all workers.
func (r *crashRun) awaitWorkers(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	for _, w := range r.workers {
		if err := w.Wait(ctx); err != nil {
			tb.Errorf("worker PID %d lives on: %v", w.ID().PID, err)
		}
	}
	r.awaitBeside(ctx, tb)
}

// awaitBeside waits for the end of what the launcher keeps beside the workers, which
// nothing names: the forkserver, and who stands by or is just being forked.
func (r *crashRun) awaitBeside(ctx context.Context, tb testing.TB) {
	tb.Helper()
	for {
		all, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true})
		left := slices.DeleteFunc(all.Run(r.id), func(p procscan.Process) bool {
			return p.Key != r.key || p.WorkerID != pool.ForkserverID("default") && p.WorkerID != pool.StandbyID("default")
		})
		switch {
		case err == nil && len(left) == 0:
			return
		case ctx.Err() != nil:
			tb.Errorf("%d processes beside the workers live on: %+v, %v", len(left), left, err)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// forkservers is how many a run with one pool has.
func forkservers(s *sandbox) int {
	if runtime.GOOS != "linux" || slices.Contains(s.env, "SNAKEPIT_START_METHOD=spawn") {
		return 0
	}
	return 1
}

// mustBeClean fails if anything of the sandbox's runs is left.
func (s *sandbox) mustBeClean(tb testing.TB) {
	tb.Helper()
	if left := leftBehind(s.runs(), s.spares); len(left) > 0 {
		tb.Errorf("left: %q", left)
	}
}

// newCrashSandbox ends what a failed test has left.
func newCrashSandbox(tb testing.TB) *sandbox {
	tb.Helper()
	managedPython(tb)
	s := newSandbox(tb)
	tb.Cleanup(func() { cleanUp(s.runs(), s.spares) })
	return s
}
