package pool

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestCallGoesToAnIdleWorker(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		ctx, cancel := context.WithCancel(t.Context())
		busy := make(chan string, 1)
		go func() {
			worker, _, _ := p.Execute(ctx, "default-0", Call{Tool: "wait"}, nil)
			busy <- worker
		}()
		synctest.Wait()
		worker, result, err := p.Execute(t.Context(), "", Call{Tool: "ping"}, nil)
		if err != nil || worker != "default-1" || string(result) != `"ping"` {
			t.Errorf("got %s from %s, %v; want it from default-1, which is idle", result, worker, err)
		}
		cancel()
		<-busy
		p.Stop(StopOptions{})
	})
}

func TestCallsWaitInOrder(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _, _ = p.Execute(ctx, "", Call{Tool: "wait"}, nil) }()
		synctest.Wait()
		for i := range 5 {
			go func() {
				if _, _, err := p.Execute(t.Context(), "", Call{Tool: strconv.Itoa(i)}, nil); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			}()
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		p.Stop(StopOptions{})
		w.mu.Lock()
		defer w.mu.Unlock()
		if want := []string{"wait", "0", "1", "2", "3", "4"}; !slices.Equal(want, w.called) {
			t.Errorf("calls came through as %v", w.called)
		}
	})
}

func TestDeadlineOfAWaitingCall(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		busy, cancel := context.WithCancel(t.Context())
		go func() { _, _, _ = p.Execute(busy, "", Call{Tool: "wait"}, nil) }()
		synctest.Wait()
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, _, err := p.Execute(ctx, "", Call{Tool: "ping"}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		cancel()
		synctest.Wait()
		if _, _, err := p.Execute(t.Context(), "", Call{Tool: "ping"}, nil); err != nil {
			t.Errorf("the worker is idle again, but: %v", err)
		}
		p.Stop(StopOptions{})
	})
}

func TestCallsThatCannotBeServed(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		if _, _, err := p.Execute(t.Context(), "default-9", Call{Tool: "ping"}, nil); !errors.Is(err, ErrNoWorker) {
			t.Errorf("unknown worker: %v", err)
		}
		busy, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _, _ = p.Execute(busy, "", Call{Tool: "wait"}, nil) }()
		synctest.Wait()
		waiting := make(chan error, 1)
		go func() {
			_, _, err := p.Execute(t.Context(), "", Call{Tool: "ping"}, nil)
			waiting <- err
		}()
		synctest.Wait()
		p.Stop(StopOptions{})
		if err := <-waiting; !errors.Is(err, ErrStopping) {
			t.Errorf("a call that waits while the pool stops: %v", err)
		}
		if _, _, err := p.Execute(t.Context(), "", Call{Tool: "ping"}, nil); !errors.Is(err, ErrStopping) {
			t.Errorf("a call after the stop: %v", err)
		}
	})
}

// Callers are not left waiting for a pool in which nobody will ever answer.
func TestCallsEndWhenTheLastWorkerFails(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Incarnation > 1 {
			return behaviour{diesAfter: time.Millisecond, silent: true, exit: Exit{Code: 1}}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		w.process("default-0").end(Exit{Code: 1})
		synctest.Wait()
		if _, _, err := p.Execute(t.Context(), "", Call{Tool: "ping"}, nil); !errors.Is(err, ErrNoneReady) {
			t.Errorf("got %v, want that no worker is left", err)
		}
		p.Stop(StopOptions{})
	})
}

// A tool that runs on when its caller has left keeps its worker, so that no
// other call waits behind it while a worker is idle.
func TestLeftCallKeepsItsWorkerUntilTheToolEnds(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(2)
		o.Connect = func(string, int) (Client, error) { return fakeClient{runsOn: time.Minute}, nil }
		p := startPool(t, o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if worker, _, err := p.Execute(ctx, "", Call{Tool: "wait"}, nil); worker != "default-0" || err == nil {
			t.Fatalf("the call ended on %s with %v", worker, err)
		}
		for range 3 {
			if worker, _, err := p.Execute(t.Context(), "", Call{Tool: "ping"}, nil); worker != "default-1" || err != nil {
				t.Errorf("a call went to %s (%v), where the tool still runs", worker, err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if worker, _, _ := p.Execute(t.Context(), "", Call{Tool: "ping"}, nil); worker != "default-0" {
			t.Errorf("after the tool has ended, a call went to %s", worker)
		}
		p.Stop(StopOptions{})
	})
}

// The calls of a slot are counted through restarts, and also while they run.
func TestCallsAreCounted(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		call := func(ctx context.Context, tool string) { _, _, _ = p.Execute(ctx, "default-0", Call{Tool: tool}, nil) }
		call(t.Context(), "ping")
		ctx, cancel := context.WithCancel(t.Context())
		go call(ctx, "wait")
		synctest.Wait()
		if got, want := p.Worker("default-0").Calls, (Calls{Running: 1, Ended: 1}); got != want {
			t.Errorf("while one runs: %+v, want %+v", got, want)
		}
		cancel()
		synctest.Wait()
		if _, err := p.Restart(t.Context(), RestartOptions{Workers: []string{"default-0"}, Rolling: 1}); err != nil {
			t.Fatal(err)
		}
		call(t.Context(), "ping")
		var got []Calls
		for _, s := range p.Status() {
			got = append(got, s.Calls)
		}
		if want := []Calls{{Ended: 3, Failed: 1}, {}}; !slices.Equal(want, got) {
			t.Errorf("after a call that was left, and a restart: %+v, want %+v", got, want)
		}
		p.Stop(StopOptions{})
	})
}
