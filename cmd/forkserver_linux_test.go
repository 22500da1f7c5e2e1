package cmd

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// eventsOf are all events of a run of one kind, as often as that has happened.
func eventsOf(t *testing.T, s *sandbox, id, kind string) []telemetry.Record {
	t.Helper()
	run, err := rundir.Open(s.runs(), id)
	if err != nil {
		t.Fatal(err)
	}
	all, err := readEvents(run)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(r telemetry.Record) bool { return r.Event != kind })
}

// awaitEvents returns them once there are so many.
func awaitEvents(t *testing.T, s *sandbox, id string, kind pool.NoticeKind, count int) []telemetry.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if all := eventsOf(t, s, id, string(kind)); len(all) >= count {
			return all
		}
		if ctx.Err() != nil {
			t.Fatalf("%d events %s, want %d", len(eventsOf(t, s, id, string(kind))), kind, count)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// killMarked kills a process of the run by its identity.
func killMarked(t *testing.T, pid int) {
	t.Helper()
	process := holdProcess(t, pid)
	if err := process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := process.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The forkserver is killed under calls: nobody notices but the event log, another
// one comes, and workers are forked again.
func TestForkserverKilled(t *testing.T) {
	t.Parallel()
	s, id, client := startControlled(t, "--workers", "4", "--start-method", "forkserver", "--standby", "0")
	before := workersIn(t, client)
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	var done atomic.Int64
	for range 8 {
		calls.Go(func() {
			for ctx.Err() == nil {
				if _, err := client.Call(t.Context(), control.Call{Tool: "add", Parameters: json.RawMessage(`{"a":1,"b":2}`)}, nil); err != nil {
					t.Error(err)
				}
				done.Add(1)
			}
		})
	}
	for i := 1; i <= 3; i++ {
		server := awaitEvents(t, s, id, pool.ForkserverStarted, i)[i-1]
		killMarked(t, server.PID)
		if died := awaitEvents(t, s, id, pool.ForkserverDied, i)[i-1]; died.PID != server.PID || died.Reason != "SIGKILL" {
			t.Errorf("PID %d was killed; the event is %+v", server.PID, died)
		}
	}
	cancel()
	calls.Wait()
	for i, w := range workersIn(t, client) {
		if w.Pid != before[i].Pid || w.State != "ready" || w.Restarts != 0 {
			t.Errorf("%v became %v", before[i], w)
		}
	}
	err := client.Restart(t.Context(), control.Restart{Workers: []string{"default-0"}}, func(r pool.Restarted) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	})
	if err != nil || workersIn(t, client)[0].StartMethod != "fork" {
		t.Errorf("%v; %v", err, workersIn(t, client)[0])
	}
	if done.Load() == 0 {
		t.Error("no call was made")
	}
}

// What the adapter's import has started ends with the forkserver that imported it,
// wherever it has gone.
func TestForkserverKilledWithWhatItStarted(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	s.write(t, "helped.py", `
import subprocess
from snakepit.showcase import Showcase as Helped

with open("helper", "w") as file:
    file.write(str(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid))
`)
	id := newRunID(t)
	s.mustRun(t, "", "start", "-d", "--workers", "1", "--run-id", id, "--adapter", "helped:Helped",
		"--start-method", "forkserver", "--preload", "--standby", "0")
	text, err := os.ReadFile(filepath.Join(s.dir, "helper"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	helper := holdProcess(t, pid)
	killMarked(t, awaitEvents(t, s, id, pool.ForkserverStarted, 1)[0].PID)
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := helper.Wait(soon); err != nil {
		t.Errorf("the helper of the killed forkserver lives: %v", err)
	}
	awaitEvents(t, s, id, pool.ForkserverStarted, 2)
	s.mustRun(t, "", "stop", "--run-id", id)
	s.mustBeClean(t)
}

// A forkserver that does not answer is replaced, and the launch that needed it goes on.
func TestForkserverFrozen(t *testing.T) {
	t.Parallel()
	s, id, client := startControlled(t, "--workers", "1", "--start-method", "forkserver", "--standby", "0")
	frozen := holdProcess(t, awaitEvents(t, s, id, pool.ForkserverStarted, 1)[0].PID)
	if err := frozen.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	err := client.Restart(t.Context(), control.Restart{Workers: []string{"default-0"}}, func(r pool.Restarted) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if w := workersIn(t, client)[0]; w.State != "ready" || w.StartMethod != "fork" {
		t.Errorf("%v", w)
	}
	if err := frozen.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// A stand-by that does not answer has ended before another takes the place that it was
// offered: it might wake up and take the port.
func TestStandbyFrozen(t *testing.T) {
	t.Parallel()
	s, id, client := startControlled(t, "--workers", "1", "--start-method", "forkserver", "--grace", "20s")
	frozen := holdProcess(t, awaitEvents(t, s, id, pool.StandbyReady, 1)[0].PID)
	if err := frozen.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	err := client.Restart(t.Context(), control.Restart{Workers: []string{"default-0"}}, func(r pool.Restarted) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := frozen.Wait(ended); err != nil {
		t.Errorf("it lives: %v", err)
	}
	if w := workersIn(t, client)[0]; w.State != "ready" || w.StartMethod != "fork" {
		t.Errorf("%v", w)
	}
}

// A worker that stands by is killed: another one takes its seat, and nobody is
// restarted for it.
func TestStandbyKilled(t *testing.T) {
	t.Parallel()
	s, id, client := startControlled(t, "--workers", "2", "--start-method", "forkserver")
	for i := 1; i <= 3; i++ {
		killMarked(t, awaitEvents(t, s, id, pool.StandbyReady, i)[i-1].PID)
		awaitEvents(t, s, id, pool.StandbyDied, i)
	}
	awaitEvents(t, s, id, pool.StandbyReady, 4)
	for _, w := range workersIn(t, client) {
		if w.Restarts != 0 || w.Incarnation != 1 {
			t.Errorf("%v, and nobody touched it", w)
		}
	}
}

// An adapter that cannot be made any more does not make stand-bys without end.
func TestStandbyThatFails(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	s.write(t, "once.py", `
import os
from snakepit.showcase import Showcase

class Once(Showcase):
    def __init__(self):
        super().__init__()
        if os.path.exists("made"):
            raise RuntimeError("there is one")
        open("made", "w").close()
`)
	id := newRunID(t)
	s.mustRun(t, "", "start", "-d", "--workers", "1", "--run-id", id, "--adapter", "once:Once", "--start-method", "forkserver")
	died := awaitEvents(t, s, id, pool.StandbyDied, 3)
	if want := "the constructor of the adapter Once raised RuntimeError: there is one"; len(died[0].Reason) < len(want) || died[0].Reason[:len(want)] != want {
		t.Errorf("%+v", died[0])
	}
	time.Sleep(time.Second) // the pauses of three failures together were shorter
	if more := eventsOf(t, s, id, string(pool.StandbyDied)); len(more) != 3 {
		t.Errorf("%d workers have failed to stand by, want 3", len(more))
	}
	s.mustRun(t, "", "call", "ping", "--run-id", id)
	s.mustRun(t, "", "stop", "--run-id", id)
	s.mustBeClean(t)
}

// The same layers hold for who stands by, whichever is left.
func TestStandbyEndsWithItsSupervisor(t *testing.T) {
	for _, layer := range []string{"lifeline", "pdeathsig", "none"} {
		t.Run(layer, func(t *testing.T) {
			t.Parallel()
			s := newCrashSandbox(t).startsBy("forkserver")
			id := newRunID(t)
			r := startCrashRun(t, s, id, layer, 1)
			beside := []*procscan.Handle{
				holdProcess(t, awaitEvents(t, s, id, pool.StandbyReady, 1)[0].PID),
				holdProcess(t, awaitEvents(t, s, id, pool.ForkserverStarted, 1)[0].PID),
			}
			r.mustDie(t, r.supervisor)
			for _, p := range beside {
				if err := p.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if layer == "none" { // those have their seat and their link besides
				s.mustRun(t, "", "kill-orphans", "--run-id", id, "--yes")
			}
			r.awaitWorkers(t)
			s.mustBeClean(t)
		})
	}
}

// What the kernel says of a forked worker is what it says of a spawned one.
func TestForkedLikeSpawned(t *testing.T) {
	t.Parallel()
	seen := map[string]map[string]any{}
	for _, method := range []string{"spawn", "forkserver"} {
		s, id, client := startControlled(t, "--workers", "2", "--start-method", method)
		if method == "forkserver" {
			awaitEvents(t, s, id, pool.StandbyReady, 1)
			err := client.Restart(t.Context(), control.Restart{Workers: []string{"default-1"}}, func(pool.Restarted) {})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range workersIn(t, client) {
			seen[method+" "+w.Id+" "+w.StartMethod] = traitsOf(t, w)
		}
	}
	want := seen["spawn default-0 spawn"]
	for _, who := range []string{"spawn default-1 spawn", "forkserver default-0 fork", "forkserver default-1 standby"} {
		for trait, value := range want {
			if got := seen[who][trait]; got != value {
				t.Errorf("%s: %s is %v, and %v for a spawned one", who, trait, got, value)
			}
		}
	}
}

// traitsOf are what /proc tells of a worker that does not differ between workers.
func traitsOf(t *testing.T, w *controlpb.Worker) map[string]any {
	t.Helper()
	traits := map[string]any{"descriptors": openKinds(t, int(w.Pid))}
	for _, name := range []string{"SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Seccomp", "CapEff", "Umask"} {
		traits[name] = statusField(t, int(w.Pid), name)
	}
	group, err := syscall.Getpgid(int(w.Pid))
	if err != nil {
		t.Fatal(err)
	}
	traits["leads its group"] = group == int(w.Pid)
	return traits
}
