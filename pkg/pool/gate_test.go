package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// adapting are options with a gate that adapts, as on a machine with two CPUs.
func adapting(w *world, workers int) Options {
	o := w.options(workers)
	o.Gate = newGate(4, mostAtOnce)
	return o
}

// starting counts the processes that are not ready yet. Call it while the world is
// locked, as a behave function is.
func (w *world) startingNow() (n int) {
	for _, p := range w.processes {
		select {
		case <-p.done:
		default:
			if time.Since(p.born) < p.behaviour.readyAfter {
				n++
			}
		}
	}
	return n
}

func TestStartsThatWaitAreManyAtOnce(t *testing.T) {
	waits := func(Spec) behaviour { return behaviour{readyAfter: time.Second} }
	inBubble(t, waits, func(t *testing.T, w *world) {
		began := time.Now()
		p := startPool(t, adapting(w, 100))
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("100 workers that wait for a second took %v; 4 at once would take 25 s", took)
		}
		p.Stop(StopOptions{})
	})
}

func TestStartsThatComputeAreFewAtOnce(t *testing.T) {
	most := 0
	var w *world
	computes := func(Spec) behaviour { // two CPUs, shared by all that are starting
		n := w.startingNow() + 1
		most = max(most, n)
		return behaviour{readyAfter: time.Duration(n) * 50 * time.Millisecond}
	}
	inBubble(t, computes, func(t *testing.T, world *world) {
		w = world
		p := startPool(t, adapting(w, 100))
		if most > 16 {
			t.Errorf("%d were starting at once, for nothing: they shared the processors", most)
		}
		if _, _, limit := p.gate.state(); limit != 4 {
			t.Errorf("the limit is %d when all is quiet, want 4", limit)
		}
		p.Stop(StopOptions{})
	})
}

func TestPoolsShareAGate(t *testing.T) {
	most := 0
	var w *world
	slow := func(Spec) behaviour {
		most = max(most, w.startingNow()+1)
		return behaviour{readyAfter: time.Second}
	}
	inBubble(t, slow, func(t *testing.T, world *world) {
		w = world
		gate := newFixedGate(3)
		pools := make([]*Pool, 2)
		started := make(chan error, len(pools))
		for i := range pools {
			o := w.options(5)
			o.Name, o.Gate, o.BasePort = fmt.Sprint("pool", i), gate, firstPort+100*i
			pools[i], _ = New(o)
			go func() { started <- pools[i].Start(t.Context()) }()
		}
		for range pools {
			if err := <-started; err != nil {
				t.Error(err)
			}
		}
		if most != 3 {
			t.Errorf("%d workers of two pools were starting at once, want 3", most)
		}
		for _, p := range pools {
			p.Stop(StopOptions{})
		}
	})
}

// A machine that has room for 3 starting processes says so to the fourth.
func TestARefusedProcessIsTriedAgain(t *testing.T) {
	var w *world
	refused, after := 0, 0
	crowded := func(Spec) behaviour {
		if w.startingNow() >= 3 {
			if refused++; w.launched > 10 {
				after++
			}
			return behaviour{launchErr: fmt.Errorf("cannot launch: %w", syscall.EAGAIN)}
		}
		return behaviour{readyAfter: time.Second}
	}
	inBubble(t, crowded, func(t *testing.T, world *world) {
		w = world
		p := startPool(t, adapting(w, 40))
		if refused == 0 {
			t.Error("nothing was refused: this shows nothing")
		}
		if after > 0 {
			t.Errorf("%d were refused after the limit was known", after)
		}
		for _, s := range p.Status() {
			if s.Restarts != 0 || s.Message != "" {
				t.Errorf("%s: %d restarts, %q", s.Worker, s.Restarts, s.Message)
			}
		}
		if slices.ContainsFunc(w.events, func(e Event) bool { return e.Cause != "" }) {
			t.Error("another try was counted as a restart")
		}
		p.Stop(StopOptions{})
	})
}

func TestAProcessThatIsAlwaysRefusedFailsTheStart(t *testing.T) {
	full := func(Spec) behaviour { return behaviour{launchErr: fmt.Errorf("cannot launch: %w", syscall.ENOMEM)} }
	inBubble(t, full, func(t *testing.T, w *world) {
		began := time.Now()
		p, _ := New(adapting(w, 2))
		err := p.Start(t.Context())
		var start *StartError
		if !errors.As(err, &start) || !strings.Contains(err.Error(), "cannot allocate memory") {
			t.Errorf("got %v, want the system's reason", err)
		}
		if took := time.Since(began); took < 30*time.Second || took > 2*time.Minute {
			t.Errorf("it was tried for %v, want about the 30 s in which a worker has to become ready", took)
		}
		p.Stop(StopOptions{})
	})
}

func TestAStopEndsTheTries(t *testing.T) {
	full := func(Spec) behaviour { return behaviour{launchErr: syscall.EAGAIN} }
	inBubble(t, full, func(t *testing.T, w *world) {
		p, _ := New(adapting(w, 2))
		began := time.Now()
		time.AfterFunc(5*time.Second, func() { p.Stop(StopOptions{}) })
		if err := p.Start(t.Context()); !errors.Is(err, ErrStopping) || time.Since(began) != 5*time.Second {
			t.Errorf("got %v after %v, want %v at the stop", err, time.Since(began), ErrStopping)
		}
	})
}

func TestAWaitThatEndsTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFixedGate(1)
		first, _ := g.enter(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan bool, 1)
		go func() { _, ok := g.enter(ctx); left <- ok }()
		synctest.Wait()
		cancel()
		if <-left {
			t.Error("a wait whose context ended got a turn")
		}
		g.leave(first, 0)
		limited, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, ok := g.enter(limited)
		if starting, _, _ := g.state(); !ok || starting != 1 {
			t.Errorf("after the first left, %d are starting", starting)
		}
	})
}

func TestIsShortage(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("cannot launch default-0: %w", &os.PathError{Op: "fork/exec", Path: "python", Err: syscall.EAGAIN}), true},
		{fmt.Errorf("cannot launch default-0: %w", syscall.ENOMEM), true},
		{errors.Join(syscall.EMFILE, errors.New("and more")), true},
		{fmt.Errorf("cannot launch default-0: %w", &refusal{Kind: "fork", Message: "Resource temporarily unavailable"}), true},
		{&refusal{Kind: "threads"}, false},
		{&os.PathError{Op: "fork/exec", Path: "python", Err: syscall.ENOENT}, false},
		{errors.New("resource temporarily unavailable"), false},
	} {
		if got := isShortage(tt.err); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}

func (g *Gate) state() (starting, waiting, limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.starting, len(g.waiting), g.limit
}
