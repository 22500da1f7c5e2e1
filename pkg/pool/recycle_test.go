package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecycling(t *testing.T) {
	cases := map[string]struct {
		set func(*Options)
		do  func(*testing.T, *Pool, *world)
	}{
		"ttl":        {func(o *Options) { o.TTL = time.Hour }, func(*testing.T, *Pool, *world) { time.Sleep(68 * time.Minute) }},
		"max_memory": {func(o *Options) { o.MaxMemory = 1 << 20 }, func(*testing.T, *Pool, *world) { time.Sleep(2 * time.Minute) }},
		"max_calls": {func(o *Options) { o.MaxCalls = 3 }, func(t *testing.T, p *Pool, _ *world) {
			for _, worker := range []string{"default-0", "default-1", "default-2"} {
				for range 3 {
					if _, _, err := p.Execute(t.Context(), worker, Call{Tool: "ping"}, nil); err != nil {
						t.Error(err)
					}
				}
			}
			time.Sleep(2 * time.Minute)
		}},
	}
	for cause, c := range cases {
		t.Run(cause, func(t *testing.T) {
			behave := func(s Spec) behaviour {
				if s.Incarnation == 1 {
					return behaviour{rss: 2 << 20, readyAfter: 10 * time.Millisecond}
				}
				return behaviour{rss: 1 << 20, readyAfter: 20 * time.Second}
			}
			inBubble(t, behave, func(t *testing.T, w *world) {
				o := w.options(3)
				c.set(&o)
				p := startPool(t, o)
				begun := w.seen()
				c.do(t, p, w)
				synctest.Wait()
				for _, s := range p.Status() {
					if s.State != Ready || s.Incarnation != 2 || s.Restarts != 0 || s.Message != "" {
						t.Errorf("got %+v, want the second incarnation", s)
					}
					if got := w.cause(s.Worker); got != cause {
						t.Errorf("the cause is %q", got)
					}
				}
				if most := w.down(begun); most != 1 {
					t.Errorf("%d were out of service together", most)
				}
				p.Stop(StopOptions{})
			})
		})
	}
}

// The call that runs ends in peace, and no other comes in between.
func TestRecyclingWaitsForTheCall(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(2)
		o.TTL = time.Minute
		p := startPool(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = p.Execute(ctx, "default-0", Call{Tool: "wait"}, nil)
		}()
		time.Sleep(50 * time.Second)
		begun := w.seen()
		time.Sleep(5 * time.Minute)
		if s := p.Worker("default-0"); s.Incarnation != 1 || s.Message == "" {
			t.Errorf("got %+v, want that it waits for its call, and says so", s)
		}
		cancel()
		<-done
		time.Sleep(time.Second)
		if s := p.Worker("default-0"); s.Incarnation != 2 {
			t.Errorf("got %+v, want it replaced", s)
		}
		if most := w.down(begun); most != 1 {
			t.Errorf("%d were out of service together", most)
		}
		p.Stop(StopOptions{})
	})
}

// A worker that dies while it waits for its turn gives its place back.
func TestRecyclingOfOneThatDies(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(2)
		o.MaxCalls = 1
		p := startPool(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p.rolling <- struct{}{}
		if _, _, err := p.Execute(ctx, "default-0", Call{Tool: "ping"}, nil); err != nil {
			t.Fatal(err)
		}
		w.process("default-0").end(Exit{Code: 1})
		time.Sleep(time.Minute)
		<-p.rolling
		time.Sleep(time.Minute)
		if s := p.Worker("default-0"); s.State != Ready || s.Incarnation != 2 {
			t.Errorf("got %+v, want it replaced once", s)
		}
		if _, err := p.Restart(t.Context(), RestartOptions{}); err != nil {
			t.Error(err)
		}
		p.Stop(StopOptions{})
	})
}

// While one runs a call that takes long, the others are replaced, and nobody
// waits for it who restarts workers in turn.
func TestRecyclingHoldsNobodyUp(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(3)
		o.TTL = time.Minute
		p := startPool(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = p.Execute(ctx, "default-0", Call{Tool: "wait"}, nil)
		}()
		time.Sleep(100 * time.Second)
		if s := p.Status(); s[0].Incarnation != 1 || s[1].Incarnation != 2 || s[2].Incarnation != 2 {
			t.Errorf("got %+v, want all but the first replaced", s)
		}
		limited, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		results, err := p.Restart(limited, RestartOptions{Workers: []string{"default-1", "default-2"}})
		if err != nil || results[0].Err != nil || results[1].Err != nil {
			t.Errorf("got %+v, %v", results, err)
		}
		cancel()
		<-done
		p.Stop(StopOptions{})
	})
}

// Workers that became ready together do not grow old together.
func TestAgesDiffer(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(8)
		o.TTL = time.Hour
		p := startPool(t, o)
		time.Sleep(70 * time.Minute)
		p.Stop(StopOptions{})
		began := w.events[0].Time
		minutes := map[int]bool{}
		for _, e := range w.events {
			if e.Cause != "ttl" {
				continue
			}
			age := e.Time.Sub(began)
			if age < 53*time.Minute || age > 67*time.Minute {
				t.Errorf("%s was replaced after %v", e.Worker, age)
			}
			minutes[int(age.Minutes())] = true
		}
		if len(minutes) < 3 {
			t.Errorf("all were replaced in the minutes %v", minutes)
		}
	})
}
