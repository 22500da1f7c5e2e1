package pool

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// What can go wrong while a pool starts, and must not keep it from an answer.

func startError(t *testing.T, p *Pool) Failure {
	t.Helper()
	var failed *StartError
	if err := p.Start(t.Context()); !errors.As(err, &failed) {
		t.Fatalf("got %v, want a *StartError", err)
	}
	return failed.Failures[0]
}

// A worker that serves and dies, again and again, while another still starts.
func TestStartFailsOnACrashLoop(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Worker == "default-0" {
			return behaviour{readyAfter: time.Millisecond, diesAfter: 2 * time.Millisecond, exit: Exit{Signal: syscall.SIGSEGV}}
		}
		return behaviour{readyAfter: 25 * time.Second}
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p, _ := New(w.options(2))
		f := startError(t, p)
		if f.Worker != "default-0" || f.Kind != "exit" || !strings.Contains(f.Reason, "SIGSEGV") {
			t.Errorf("got %+v, want default-0 and its signal", f)
		}
		p.Stop(StopOptions{})
	})
}

// The port of a worker is held by somebody who does not let go.
func TestStartWithAHeldPort(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Port == 40000 {
			return behaviour{notReady: &Readiness{Protocol: 1, Kind: "port_in_use", Message: "taken"}, keepsPort: time.Hour}
		}
		return steady(s)
	}
	t.Run("another is taken", func(t *testing.T) {
		inBubble(t, behave, func(t *testing.T, w *world) {
			p := startPool(t, w.options(1))
			if port := p.Worker("default-0").Port; port == 40000 {
				t.Error("it is still on the port that is held")
			}
			p.Stop(StopOptions{})
			_ = w.Remove("default-0")
		})
	})
	t.Run("unless it was asked for", func(t *testing.T) {
		inBubble(t, behave, func(t *testing.T, w *world) {
			o := w.options(1)
			o.BasePort = 40000
			p, _ := New(o)
			if f := startError(t, p); f.Kind != "port_in_use" {
				t.Errorf("got %+v, want port_in_use", f)
			}
			p.Stop(StopOptions{})
		})
	})
	t.Run("after a crash", func(t *testing.T) {
		crash := func(s Spec) behaviour {
			if s.Worker == "default-0" {
				return behaviour{diesAfter: time.Millisecond, exit: Exit{Code: 1}, keepsPort: time.Hour}
			}
			return behaviour{readyAfter: 25 * time.Second}
		}
		inBubble(t, crash, func(t *testing.T, w *world) {
			p, _ := New(w.options(2))
			if f := startError(t, p); f.Kind != "cleanup_timeout" || f.Worker != "default-0" {
				t.Errorf("got %+v, want a cleanup_timeout of default-0", f)
			}
			p.Stop(StopOptions{})
		})
	})
}

// A launch that fails once, later, costs a pause and not the worker.
func TestFailedRelaunchIsTriedAgain(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Incarnation == 2 {
			return behaviour{launchErr: errors.New("fork: resource temporarily unavailable")}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		w.process("default-0").end(Exit{Code: 1})
		time.Sleep(time.Minute)
		if s := p.Worker("default-0"); s.State != Ready || s.Incarnation != 3 || s.Restarts != 2 {
			t.Errorf("got %+v, want the third incarnation ready", s)
		}
		p.Stop(StopOptions{})
	})
}

// A process that does not know the signal for its stacks yet ends by it; that
// is not why it failed.
func TestReadyTimeoutOfOneThatDiesOfTheQuestion(t *testing.T) {
	behave := func(Spec) behaviour { return behaviour{silent: true, diesOfUSR1: true} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		p, _ := New(w.options(1))
		if f := startError(t, p); f.Kind != "ready_timeout" || len(f.Output) == 0 {
			t.Errorf("got %+v, want a ready_timeout with its output", f)
		}
		p.Stop(StopOptions{})
	})
}

// Its ready channel ends, and it lives on: a promise is not an exit.
func TestClosedReadyChannel(t *testing.T) {
	behave := func(Spec) behaviour { return behaviour{closes: true} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		p, _ := New(w.options(1))
		began := time.Now()
		if f := startError(t, p); !strings.Contains(f.Reason, "did not end") {
			t.Errorf("got %+v", f)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v, want 1s", took)
		}
		p.Stop(StopOptions{})
	})
}

func TestStartEndsWithItsContext(t *testing.T) {
	behave := func(Spec) behaviour { return behaviour{silent: true} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		p, _ := New(w.options(1))
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("interrupted")
		time.AfterFunc(time.Second, func() { cancel(why) })
		if err := p.Start(ctx); !errors.Is(err, why) {
			t.Errorf("got %v, want %v", err, why)
		}
		p.Stop(StopOptions{})
	})
}

func TestStopBeforeStart(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p, _ := New(w.options(2))
		if results := p.Stop(StopOptions{}); len(results) != 2 || results[1].Exit != "no process" {
			t.Errorf("got %+v", results)
		}
		if err := p.Start(t.Context()); err == nil {
			t.Error("it starts after it was stopped")
		}
		if w.launched != 0 {
			t.Errorf("%d processes were launched", w.launched)
		}
	})
}

func TestSecondStartIsRefused(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		if err := p.Start(t.Context()); err == nil {
			t.Error("it starts twice")
		}
		p.Stop(StopOptions{})
	})
}

// A stop in each state from which nothing has to be ended.
func TestStopWithoutAProcess(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Incarnation > 1 {
			return behaviour{launchErr: errors.New("no")}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		o := w.options(1)
		o.BackoffMin = time.Hour
		p := startPool(t, o)
		w.process("default-0").end(Exit{Code: 1})
		synctest.Wait()
		if s := state(p, "default-0"); s != Backoff {
			t.Fatalf("it is %s", s)
		}
		if r := p.Stop(StopOptions{})[0]; r.PID != 0 || r.Exit != "no process" || r.Signal != "" {
			t.Errorf("got %+v", r)
		}
	})
}

// A worker that already ends for another reason has no more time than the stop
// gives it.
func TestStopShortensAnotherGraceTime(t *testing.T) {
	behave := func(Spec) behaviour { return behaviour{silent: true, ignoreTERM: true} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		o := w.options(1)
		o.ReadyTimeout, o.Grace = time.Second, time.Hour
		p, _ := New(o)
		started := make(chan error, 1)
		go func() { started <- p.Start(t.Context()) }()
		time.Sleep(10 * time.Second)
		if s := state(p, "default-0"); s != Stopping {
			t.Fatalf("it is %s", s)
		}
		began := time.Now()
		p.Stop(StopOptions{Grace: 2 * time.Second})
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("stop took %v, want 2s", took)
		}
		<-started
	})
}

// Who waits for the start hears that it is over after the observer has heard of
// every worker, however slow that is.
func TestStartIsToldLast(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		var told atomic.Int64
		options := w.options(2)
		options.Observer = observeFunc(func(e Event) {
			if e.To == Ready && e.Worker == "default-0" {
				time.Sleep(time.Minute)
			}
			if e.To == Ready {
				told.Add(1)
			}
		})
		p, _ := New(options)
		if err := p.Start(t.Context()); err != nil || told.Load() != 2 {
			t.Errorf("%v, when the observer had heard of %d", err, told.Load())
		}
		p.Stop(StopOptions{})
	})
}
