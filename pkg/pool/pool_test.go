package pool

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func startPool(t *testing.T, o Options) *Pool {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func state(p *Pool, worker string) State { return p.Worker(worker).State }

func TestStartThenStop(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(8))
		ports := map[int]bool{}
		for _, s := range p.Status() {
			if s.State != Ready || s.Process.PID == 0 {
				t.Errorf("%s is %s with PID %d", s.Worker, s.State, s.Process.PID)
			}
			ports[s.Port] = true
		}
		if len(ports) != 8 {
			t.Errorf("8 workers have %d ports", len(ports))
		}
		for _, r := range p.Stop(StopOptions{}) {
			if r.Exit != "exit 0" || r.Signal != "TERM" || r.PID == 0 || r.Err != "" {
				t.Errorf("stop of %+v", r)
			}
		}
		want := []State{Pending, Starting, Ready, Stopping, Releasing, Stopped}
		if diff := cmp.Diff(want, w.path("default-0")); diff != "" {
			t.Errorf("states of default-0 (-want +got):\n%s", diff)
		}
	})
}

func TestStopKillsAfterTheGraceTime(t *testing.T) {
	stubborn := func(Spec) behaviour { return behaviour{ignoreTERM: true} }
	inBubble(t, stubborn, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		began := time.Now()
		r := p.Stop(StopOptions{Grace: 3 * time.Second})[0]
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("stop took %v, want the grace time, 3s", took)
		}
		if r.Signal != "KILL" || r.Exit != "SIGKILL" {
			t.Errorf("got %+v, want it killed", r)
		}
	})
}

func TestForceSkipsTheGraceTime(t *testing.T) {
	stubborn := func(Spec) behaviour { return behaviour{ignoreTERM: true} }
	inBubble(t, stubborn, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		began := time.Now()
		time.AfterFunc(time.Second, func() { p.Stop(StopOptions{Force: true}) })
		p.Stop(StopOptions{Grace: time.Hour})
		if took := time.Since(began); took != time.Second {
			t.Errorf("stop took %v, want 1s, when the second one came", took)
		}
	})
}

func TestStopDuringStartLaunchesNoMore(t *testing.T) {
	slow := func(Spec) behaviour { return behaviour{readyAfter: time.Second} }
	inBubble(t, slow, func(t *testing.T, w *world) {
		o := w.options(8)
		o.LaunchAtOnce = 2
		p, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		started := make(chan error, 1)
		go func() { started <- p.Start(t.Context()) }()
		time.Sleep(500 * time.Millisecond)
		p.Stop(StopOptions{})
		if err := <-started; !errors.Is(err, ErrStopping) {
			t.Errorf("Start returned %v, want %v", err, ErrStopping)
		}
		if w.launched != 2 {
			t.Errorf("%d processes were launched, want the 2 that were under way", w.launched)
		}
	})
}

// A launcher that has been told to retire is no failure of a worker.
func TestStopDuringALaunch(t *testing.T) {
	late := func(Spec) behaviour {
		time.Sleep(time.Second)
		return behaviour{launchErr: ErrStopping}
	}
	inBubble(t, late, func(t *testing.T, w *world) {
		p, err := New(w.options(1))
		if err != nil {
			t.Fatal(err)
		}
		started := make(chan error, 1)
		go func() { started <- p.Start(t.Context()) }()
		time.Sleep(500 * time.Millisecond)
		p.Stop(StopOptions{})
		if err := <-started; !errors.Is(err, ErrStopping) {
			t.Errorf("Start returned %v, want %v", err, ErrStopping)
		}
		for _, e := range w.events {
			if e.To == Failed {
				t.Errorf("the worker has failed: %s", e.Reason)
			}
		}
	})
}

func TestStartFailsWithEveryReason(t *testing.T) {
	broken := func(s Spec) behaviour {
		if s.Worker == "default-1" {
			return behaviour{notReady: &Readiness{Protocol: 1, Kind: "adapter_not_found", Message: "no module", Hint: "make it"}}
		}
		return steady(s)
	}
	inBubble(t, broken, func(t *testing.T, w *world) {
		p, _ := New(w.options(3))
		err := p.Start(t.Context())
		var start *StartError
		if !errors.As(err, &start) {
			t.Fatalf("got %v, want a *StartError", err)
		}
		want := []Failure{{
			Worker: "default-1", Kind: "adapter_not_found", Reason: "no module", Hint: "make it",
			Output: []string{"last words of default-1"},
		}}
		if diff := cmp.Diff(want, start.Failures); diff != "" {
			t.Errorf("failures (-want +got):\n%s", diff)
		}
		p.Stop(StopOptions{})
	})
}

func TestReadyTimeoutShowsStacksThenEnds(t *testing.T) {
	hung := func(Spec) behaviour { return behaviour{silent: true, ignoreTERM: true} }
	inBubble(t, hung, func(t *testing.T, w *world) {
		o := w.options(1)
		o.ReadyTimeout = 2 * time.Second
		p, _ := New(o)
		var start *StartError
		if err := p.Start(t.Context()); !errors.As(err, &start) || start.Failures[0].Kind != "ready_timeout" {
			t.Fatalf("got %v, want a ready_timeout", err)
		}
		if !w.process("default-0").dumped {
			t.Error("no stacks were asked for")
		}
		p.Stop(StopOptions{})
	})
}

// A crash touches one worker: it comes back on its port, the others stay.
func TestCrashRestartsOneWorkerOnItsPort(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(3))
		before := p.Status()
		w.process("default-1").end(Exit{Signal: syscall.SIGSEGV})
		time.Sleep(time.Second)
		after := p.Status()
		for i := range before {
			if after[i].State != Ready || after[i].Port != before[i].Port {
				t.Errorf("%s is %s on port %d, was on %d", after[i].Worker, after[i].State, after[i].Port, before[i].Port)
			}
			if crashed := i == 1; crashed == (after[i].Process == before[i].Process) {
				t.Errorf("%s went from %v to %v", after[i].Worker, before[i].Process, after[i].Process)
			}
		}
		if s := after[1]; s.Restarts != 1 || s.LastExit != "SIGSEGV" || s.Incarnation != 2 {
			t.Errorf("got %+v, want 1 restart after SIGSEGV", s)
		}
		p.Stop(StopOptions{})
	})
}

func TestTooManyCrashesGiveUpAndLeaveTheRest(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Worker == "default-0" && s.Incarnation > 1 {
			return behaviour{readyAfter: time.Millisecond, diesAfter: 2 * time.Millisecond, exit: Exit{Code: 3}}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		w.process("default-0").end(Exit{Code: 3})
		time.Sleep(10 * time.Second)
		if s := p.Worker("default-0"); s.State != Failed || s.Restarts != 3 {
			t.Errorf("got %s after %d restarts, want failed after 3", s.State, s.Restarts)
		}
		if s := state(p, "default-1"); s != Ready {
			t.Errorf("default-1 is %s", s)
		}
		p.Stop(StopOptions{})
	})
}

// A restart meets its predecessor's port: it waits, and says who holds it.
func TestRestartWaitsForThePort(t *testing.T) {
	keeps := func(s Spec) behaviour {
		if s.Incarnation == 1 {
			return behaviour{keepsPort: 500 * time.Millisecond}
		}
		return steady(s)
	}
	inBubble(t, keeps, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		w.process("default-0").end(Exit{Code: 1})
		time.Sleep(400 * time.Millisecond)
		synctest.Wait()
		if s := state(p, "default-0"); s != Releasing {
			t.Errorf("while the port is held it is %s, want releasing", s)
		}
		time.Sleep(time.Second)
		if s := state(p, "default-0"); s != Ready {
			t.Errorf("when the port is free it is %s, want ready", s)
		}
		p.Stop(StopOptions{})
	})
}

func TestSquattedPortBlocksUntilItIsFree(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		port := p.Worker("default-0").Port
		w.hold(port, "a squatter")
		w.process("default-0").end(Exit{Code: 1})
		time.Sleep(5 * time.Second)
		s := p.Worker("default-0")
		if s.State != Blocked || s.Port != port {
			t.Errorf("it is %s on port %d, want blocked on %d", s.State, s.Port, port)
		}
		if want := "held by a squatter"; !strings.Contains(s.Message, want) {
			t.Errorf("message %q does not say %q", s.Message, want)
		}
		w.hold(port, "")
		time.Sleep(time.Second)
		if s := state(p, "default-0"); s != Ready {
			t.Errorf("when the port is free it is %s, want ready", s)
		}
		p.Stop(StopOptions{})
	})
}

// A free port that somebody takes before the worker binds it is replaced.
func TestFirstStartTriesAnotherPort(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Port == 40000 {
			return behaviour{notReady: &Readiness{Protocol: 1, Kind: "port_in_use", Message: "taken"}, keepsPort: time.Hour}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		o := w.options(1)
		o.ReleaseTimeout = time.Second
		o.Ports = freeAfterExit{w}
		p := startPool(t, o)
		if port := p.Worker("default-0").Port; port == 40000 {
			t.Error("it is still on the port that was taken")
		}
		p.Stop(StopOptions{})
	})
}

// freeAfterExit is a world in which the port that was taken is free to bind a
// moment later, but was not when it mattered.
type freeAfterExit struct{ *world }

func (freeAfterExit) WaitFree(context.Context, string, int) error { return nil }

func TestTakenBasePortIsRefusedBeforeAnythingIsLaunched(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		w.hold(5001, "PID 7 (other)")
		o := w.options(3)
		o.BasePort = 5000
		p, _ := New(o)
		var taken *PortTakenError
		if err := p.Start(t.Context()); !errors.As(err, &taken) {
			t.Fatalf("got %v, want a *PortTakenError", err)
		}
		if len(taken.Ports) != 1 || taken.Ports[0].Port != 5001 || taken.Ports[0].Holder != "PID 7 (other)" {
			t.Errorf("got %+v", taken.Ports)
		}
		if w.launched != 0 {
			t.Errorf("%d processes were launched", w.launched)
		}
		if results := p.Stop(StopOptions{}); len(results) != 3 || results[2].Exit != "no process" {
			t.Errorf("stop of what never started: %+v", results)
		}
	})
}

func TestLaunchFailureIsAReason(t *testing.T) {
	behave := func(Spec) behaviour { return behaviour{launchErr: errors.New("fork failed")} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		p, _ := New(w.options(1))
		var start *StartError
		if err := p.Start(t.Context()); !errors.As(err, &start) || !strings.Contains(start.Error(), "fork failed") {
			t.Errorf("got %v, want the launcher's reason", err)
		}
		p.Stop(StopOptions{})
	})
}

func TestLaunchesAreBounded(t *testing.T) {
	slow := func(Spec) behaviour { return behaviour{readyAfter: time.Second} }
	inBubble(t, slow, func(t *testing.T, w *world) {
		o := w.options(10)
		o.LaunchAtOnce = 3
		began := time.Now()
		p := startPool(t, o)
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("10 workers, 3 at once, 1 s each, took %v; want 4s", took)
		}
		p.Stop(StopOptions{})
	})
}
