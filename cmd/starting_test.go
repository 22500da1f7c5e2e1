package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// kill-orphans runs all the time while a run starts whose name a dead run had,
// with orphans. Those go; no worker of the starting run does. The start may be
// refused for a moment, as long as the lock is the killer's.
func TestKillOrphansBesideAStart(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	id := newRunID(t)
	s.beside(t, id)
	dead := startCrashRun(t, s, id, "none", 2)
	for range 2 {
		dead.mustDie(t, dead.supervisor)
		stop := killAllTheTime(t, s, id)
		started := startInSpite(t, s, id)
		killed := stop()
		dead.awaitWorkers(t)
		started.mustBeAsStarted(t, s, killed)
		dead = started
	}
	s.mustRun(t, "", "stop", "--run-id", id)
	s.mustBeClean(t)
}

// killAllTheTime runs kill-orphans again and again, in every way, until it is
// told to stop. Then it returns who was killed.
func killAllTheTime(t *testing.T, s *sandbox, id string) (stop func() []int) {
	t.Helper()
	// Always of this run: those of other tests are orphans at times.
	ways := [][]string{nil, {"--strays"}, {"--strays", "--grace", "0"}}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex // guards killed and problems
	var killed []int
	var problems []string
	var wait sync.WaitGroup
	for _, way := range ways {
		wait.Go(func() {
			for ctx.Err() == nil {
				pids, err := killOnce(s, append([]string{"--run-id", id}, way...))
				mu.Lock()
				killed = append(killed, pids...)
				if err != nil {
					problems = append(problems, err.Error())
				}
				mu.Unlock()
			}
		})
	}
	stop = sync.OnceValue(func() []int {
		cancel()
		wait.Wait()
		if len(problems) > 0 {
			t.Errorf("kill-orphans: %s", strings.Join(problems, "\n"))
		}
		return killed
	})
	t.Cleanup(func() { stop() })
	return stop
}

// killOnce runs to its end: one that is interrupted proves less. It may find
// nothing, or be refused because the run is alive.
func killOnce(s *sandbox, flags []string) (killed []int, err error) {
	cmd := s.command(append([]string{"kill-orphans", "--yes", "-o", "json"}, flags...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exitsWith("0", err) != nil && exitsWith("3", err) != nil && exitsWith("6", err) != nil {
		return nil, fmt.Errorf("%q: %w: %s", flags, err, stderr.String())
	}
	if len(out) == 0 {
		return nil, nil
	}
	var document promisedKills
	if err := promised(string(out), &document); err != nil {
		return nil, fmt.Errorf("%q: %w", flags, err)
	}
	for _, k := range document.Killed {
		killed = append(killed, k.PID)
	}
	return killed, nil
}

// startInSpite tries again for as long as it is refused.
func startInSpite(t *testing.T, s *sandbox, id string) *crashRun {
	t.Helper()
	for range 100 {
		cmd := s.command("start", "-d", "--workers", "3", "--run-id", id, "-o", "json")
		cmd.Env = append(slices.Clip(cmd.Env), layersVariable+"=none")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err == nil {
			return hold(t, id, string(out))
		}
		if exitsWith("6", err) != nil {
			t.Fatalf("start: %v: %s", err, stderr.String())
		}
	}
	t.Fatal("the start is refused again and again")
	return nil
}

// mustBeAsStarted fails if anything has happened to a worker since.
func (r *crashRun) mustBeAsStarted(t *testing.T, s *sandbox, killed []int) {
	t.Helper()
	for _, p := range append(r.workers, r.supervisor) {
		if gone, err := p.Gone(); gone || err != nil || slices.Contains(killed, p.ID().PID) {
			t.Errorf("PID %d of the starting run was killed: %v, %v", p.ID().PID, gone, err)
		}
	}
	found, err := rundir.Open(s.runs(), r.id)
	if err != nil {
		t.Fatal(err)
	}
	events, err := readEvents(found)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Event == telemetry.WorkerState && !slices.Contains([]string{"pending", "starting", "ready"}, e.To) {
			t.Errorf("%s, PID %d, became %s: %s", e.Worker, e.PID, e.To, e.Reason)
		}
	}
}
