package cmd

import (
	"runtime"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// Each layer alone, the others switched off, ends a run whose supervisor was
// killed.
func TestEachLayerAlone(t *testing.T) {
	underEachMethod(t, eachLayerAlone)
}

func eachLayerAlone(t *testing.T, method string) {
	for _, layer := range []string{"lifeline", "pdeathsig", "guard"} {
		t.Run(layer, func(t *testing.T) {
			if layer == "pdeathsig" && runtime.GOOS != "linux" {
				t.Skip("only Linux has a parent-death signal")
			}
			t.Parallel()
			s := newCrashSandbox(t).startsBy(method)
			r, _ := startWatchedRun(t, s, newRunID(t), layer, 2)
			if (r.guard != nil) != (layer == "guard") {
				t.Fatalf("guard: %v, with the layer %s alone", r.guard, layer)
			}
			r.mustDie(t, r.supervisor)
			r.awaitWorkers(t)
			if r.guard != nil {
				if err := r.guard.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
			s.mustBeClean(t)
		})
	}
}

// With no layer, orphans remain: the switches work, and the tests above test
// something. They are found, and ended by those who look afterwards.
func TestNoLayer(t *testing.T) { underEachMethod(t, noLayer) }

func noLayer(t *testing.T, method string) {
	const sameName = "next start of the same name"
	for name, sweep := range map[string]func(*testing.T, *sandbox, string){
		"kill-orphans": func(t *testing.T, s *sandbox, id string) {
			cmd := s.command("orphans", "--run-id", id, "--exit-code")
			if err := exitsWith("10", cmd.Run()); err != nil {
				t.Error("orphans --exit-code:", err)
			}
			s.mustRun(t, "", "kill-orphans", "--run-id", id, "--yes")
			s.mustRun(t, "", "orphans", "--run-id", id, "--exit-code")
		},
		"next start": func(t *testing.T, s *sandbox, id string) {
			s.mustRun(t, "", "start", "-d", "--workers", "1", "--run-id", id+"-next")
			s.mustRun(t, "", "stop", "--run-id", id+"-next")
		},
		sameName: func(t *testing.T, s *sandbox, id string) {
			s.mustRun(t, "", "start", "-d", "--workers", "1", "--run-id", id)
			s.mustRun(t, "", "stop", "--run-id", id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newCrashSandbox(t).startsBy(method)
			r, endNamesakes := startWatchedRun(t, s, newRunID(t), "none", 2)
			r.mustDie(t, r.supervisor)
			for _, w := range r.workers {
				if gone, err := w.Gone(); gone || err != nil {
					t.Fatalf("worker PID %d has ended without a layer: %v", w.ID().PID, err)
				}
			}
			if name == sameName {
				endNamesakes()
			}
			sweep(t, s, r.id)
			r.awaitWorkers(t)
			s.mustBeClean(t)
		})
	}
}

// Supervisor and guard are killed in the same instant: the workers know by
// themselves.
func TestSupervisorAndGuardKilled(t *testing.T) {
	underEachMethod(t, supervisorAndGuardKilled)
}

func supervisorAndGuardKilled(t *testing.T, method string) {
	t.Parallel()
	s := newCrashSandbox(t).startsBy(method)
	r, _ := startWatchedRun(t, s, newRunID(t), "", 4)
	r.mustDie(t, r.guard, r.supervisor)
	r.awaitWorkers(t)
	s.mustBeClean(t)
	found, err := rundir.Open(s.runs(), r.id)
	if err != nil || found.Alive || found.Record == nil || found.Record.End != nil {
		t.Errorf("%+v, %v; want a dead run whose end nobody wrote down", found, err)
	}
}

// One supervisor dies; its neighbour and the neighbour's workers do not notice.
// They share a state directory, and were started by the same process.
func TestNeighbourLives(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	first, _ := startWatchedRun(t, s, newRunID(t), "", 2)
	second := startCrashRun(t, s, first.id+"2", "", 2) // the first one's id begins its own
	third := startCrashRun(t, s, newRunID(t), "", 1)
	first.mustDie(t, first.supervisor)
	first.awaitWorkers(t)
	if err := first.guard.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	for _, r := range []*crashRun{second, third} {
		for _, p := range append(r.workers, r.supervisor, r.guard) {
			if gone, err := p.Gone(); gone || err != nil {
				t.Errorf("PID %d of run %s has ended: %v", p.ID().PID, r.id, err)
			}
		}
		s.mustRun(t, "", "call", "ping", "--run-id", r.id)
		s.mustRun(t, "", "stop", "--run-id", r.id)
	}
	s.mustBeClean(t)
}

func TestUnknownLayer(t *testing.T) {
	s := newSandbox(t)
	cmd := s.command("start", "--workers", "1")
	cmd.Env = append(cmd.Env, layersVariable+"=lifeline,rope")
	out, err := cmd.CombinedOutput()
	if wrong := exitsWith("2", err); wrong != nil || !strings.Contains(string(out), `there is no layer "rope"`) {
		t.Errorf("%v: %s", wrong, out)
	}
}
