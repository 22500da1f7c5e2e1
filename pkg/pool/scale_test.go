package pool

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestScale(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		for _, n := range []int{6, 6, 3, 1, 4} {
			if _, err := p.Scale(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			all := p.Status()
			if len(all) != n || p.Desired() != n {
				t.Errorf("scaled to %d: %d workers, %d desired", n, len(all), p.Desired())
			}
			ports := map[int]bool{}
			for i, s := range all {
				if s.State != Ready || s.Worker != WorkerID("default", i) {
					t.Errorf("scaled to %d: %+v", n, s)
				}
				ports[s.Port] = true
			}
			if len(ports) != n {
				t.Errorf("%d workers have %d ports", n, len(ports))
			}
		}
		if _, _, err := p.Execute(t.Context(), "default-3", Call{Tool: "ping"}, nil); err != nil {
			t.Error(err)
		}
		if _, _, err := p.Execute(t.Context(), "default-4", Call{Tool: "ping"}, nil); !errors.Is(err, ErrNoWorker) {
			t.Errorf("a worker that was taken away: %v", err)
		}
		p.Stop(StopOptions{})
	})
}

func TestScaleDownSaysHowItWent(t *testing.T) {
	behave := func(s Spec) behaviour {
		return behaviour{ignoreTERM: s.Worker == "default-2"}
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(3))
		results, err := p.Scale(t.Context(), 1)
		if err != nil || len(results) != 2 || results[0].Exit != "exit 0" || results[1].Signal != "KILL" {
			t.Errorf("got %+v, %v", results, err)
		}
		p.Stop(StopOptions{})
	})
}

func TestScaleRefuses(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(2)
		o.BasePort = 50000
		p, _ := New(o)
		if _, err := p.Scale(t.Context(), 3); err == nil {
			t.Error("a pool that has not started was scaled")
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Scale(t.Context(), 0); err == nil {
			t.Error("0 workers")
		}
		w.hold(50003, "a stranger")
		var taken *PortTakenError
		if _, err := p.Scale(t.Context(), 4); !errors.As(err, &taken) || taken.Ports[0].Port != 50003 || w.launches() != 2 {
			t.Errorf("got %v after %d launches, want nothing to be done", err, w.launches())
		}
		if _, err := p.Scale(t.Context(), 20000); err == nil {
			t.Error("ports beyond the last")
		}
		p.Stop(StopOptions{})
		if _, err := p.Scale(t.Context(), 3); !errors.Is(err, ErrStopping) {
			t.Errorf("after the stop: %v", err)
		}
	})
}

// Workers that never serve are said to have failed, and harm nobody.
func TestScaleUpThatFails(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Worker == "default-2" {
			return behaviour{notReady: &Readiness{Kind: "adapter_error", Message: "no"}}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		_, err := p.Scale(t.Context(), 4)
		var failed *StartError
		if !errors.As(err, &failed) || len(failed.Failures) != 1 || failed.Failures[0].Worker != "default-2" {
			t.Errorf("got %v", err)
		}
		if state(p, "default-3") != Ready || state(p, "default-2") != Failed {
			t.Errorf("%+v", p.Status())
		}
		p.Stop(StopOptions{})
	})
}

func TestStopDuringScale(t *testing.T) {
	slow := func(Spec) behaviour { return behaviour{readyAfter: time.Second, stopTakes: time.Second} }
	for _, n := range []int{1, 8} {
		inBubble(t, slow, func(t *testing.T, w *world) {
			p := startPool(t, w.options(4))
			done := make(chan error, 1)
			go func() {
				_, err := p.Scale(t.Context(), n)
				done <- err
			}()
			time.Sleep(500 * time.Millisecond)
			p.Stop(StopOptions{})
			if err := <-done; n == 8 && !errors.Is(err, ErrStopping) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStopWorkers(t *testing.T) {
	behave := func(Spec) behaviour { return behaviour{stopTakes: time.Second} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(3))
		if _, err := p.StopWorkers(t.Context(), []string{"default-1", "default-9"}, StopOptions{}); !errors.Is(err, ErrNoWorker) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.StopWorkers(ctx, []string{"default-1"}, StopOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		results, err := p.StopWorkers(t.Context(), []string{"default-1", "default-2"}, StopOptions{})
		if err != nil || len(results) != 2 {
			t.Errorf("got %+v, %v", results, err)
		}
		if _, _, err := p.Execute(t.Context(), "default-1", Call{Tool: "ping"}, nil); !errors.Is(err, ErrNoneReady) {
			t.Errorf("a call to a stopped worker: %v", err)
		}
		for _, r := range p.Stop(StopOptions{}) {
			if (r.Worker == "default-0") != (r.Exit == "exit 0") {
				t.Errorf("got %+v; only default-0 had a process", r)
			}
		}
	})
}

// Whoever stops a worker that others wait for does not have them wait for ever.
func TestStopOfAWorkerThatIsAwaited(t *testing.T) {
	slow := func(Spec) behaviour { return behaviour{readyAfter: time.Second} }
	t.Run("by a start", func(t *testing.T) {
		inBubble(t, slow, func(t *testing.T, w *world) {
			p, _ := New(w.options(2))
			done := make(chan error, 1)
			go func() { done <- p.Start(t.Context()) }()
			time.Sleep(500 * time.Millisecond)
			_, _ = p.StopWorkers(t.Context(), []string{"default-1"}, StopOptions{})
			if err := <-done; err != nil {
				t.Error(err)
			}
			p.Stop(StopOptions{})
		})
	})
	t.Run("by a larger pool", func(t *testing.T) {
		inBubble(t, slow, func(t *testing.T, w *world) {
			p := startPool(t, w.options(1))
			done := make(chan error, 1)
			go func() {
				_, err := p.Scale(t.Context(), 2)
				done <- err
			}()
			time.Sleep(500 * time.Millisecond)
			_, _ = p.StopWorkers(t.Context(), []string{"default-1"}, StopOptions{})
			if err := <-done; err != nil {
				t.Error(err)
			}
			p.Stop(StopOptions{})
		})
	})
}

// A worker that ends while it is given its turn gives its place back.
func TestNoPlaceIsLost(t *testing.T) {
	for i := range 40 {
		inBubble(t, steady, func(t *testing.T, w *world) {
			o := w.options(1)
			o.LaunchAtOnce = 2
			p := startPool(t, o)
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%12)*time.Millisecond)
				_, _ = p.Scale(ctx, 20)
				cancel()
				_, _ = p.Scale(t.Context(), 1)
			}
			time.Sleep(time.Minute)
			if starting, waiting, limit := p.gate.state(); starting != 0 || waiting > 0 {
				t.Errorf("%d of %d places were not given back, %d wait", starting, limit, waiting)
			}
			p.Stop(StopOptions{})
		})
	}
}
