package pool

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// restartOne restarts a worker that must be ready again on its port, in another
// process.
func restartOne(t *testing.T, p *Pool, worker string) Restarted {
	t.Helper()
	before := p.Worker(worker)
	results, err := p.Restart(t.Context(), RestartOptions{Workers: []string{worker}})
	if err != nil || len(results) != 1 || results[0].Err != nil {
		t.Fatalf("got %+v, %v", results, err)
	}
	after := p.Worker(worker)
	r := results[0]
	if after.State != Ready || r.NewPID != after.Process.PID || r.NewPID == before.Process.PID || r.OldPID != before.Process.PID {
		t.Errorf("%+v: PID %d became %d, it is %s with %d", r, before.Process.PID, r.NewPID, after.State, after.Process.PID)
	}
	if after.Port != before.Port || r.Port != before.Port {
		t.Errorf("port %d became %d", before.Port, after.Port)
	}
	return r
}

func TestRestartTimesEachPhase(t *testing.T) {
	behave := func(Spec) behaviour {
		return behaviour{readyAfter: 10 * time.Millisecond, stopTakes: 3 * time.Second, keepsPort: time.Second - time.Microsecond}
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(3))
		got := restartOne(t, p, "default-1")
		got.OldPID, got.NewPID, got.Port = 0, 0, 0
		want := Restarted{
			Worker: "default-1", Stop: 3 * time.Second, Release: time.Second,
			Start: 10 * time.Millisecond, Total: 4010 * time.Millisecond,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if s := p.Worker("default-1"); s.Restarts != 0 || s.Incarnation != 2 {
			t.Errorf("got %+v; what was asked for is no restart of its own", s)
		}
		p.Stop(StopOptions{})
		_, _ = w, w.Remove("default-1") // its port was held for longer than nobody waited
	})
}

// Whatever state a worker is in, it is ready after a restart.
func TestRestartInEveryState(t *testing.T) {
	restart := func(t *testing.T, p *Pool) {
		t.Helper()
		results, err := p.Restart(t.Context(), RestartOptions{Workers: []string{"default-0"}})
		if err != nil || results[0].Err != nil || state(p, "default-0") != Ready {
			t.Errorf("got %+v, %v, and it is %s", results, err, state(p, "default-0"))
		}
		p.Stop(StopOptions{})
	}
	reach := func(t *testing.T, p *Pool, want State) {
		t.Helper()
		synctest.Wait()
		if s := p.Worker("default-0"); s.State != want {
			t.Fatalf("it is %+v, want %s", s, want)
		}
	}
	t.Run("starting", func(t *testing.T) {
		inBubble(t, steady, func(t *testing.T, w *world) {
			p, _ := New(w.options(1))
			go func() { _ = p.Start(t.Context()) }()
			reach(t, p, Starting)
			restart(t, p)
		})
	})
	t.Run("pending", func(t *testing.T) {
		inBubble(t, steady, func(t *testing.T, w *world) {
			o := w.options(1)
			o.LaunchAtOnce = 1
			p := startPool(t, o)
			turn, _ := p.gate.enter(t.Context())
			w.process("default-0").end(Exit{Code: 1})
			time.Sleep(time.Second)
			reach(t, p, Pending)
			time.AfterFunc(time.Second, func() { p.gate.leave(turn, 0) })
			restart(t, p)
		})
	})
	t.Run("stopping and releasing", func(t *testing.T) {
		slow := func(s Spec) behaviour {
			if s.Incarnation == 1 {
				return behaviour{stopTakes: time.Second, keepsPort: time.Second}
			}
			return steady(s)
		}
		for _, want := range []State{Stopping, Releasing} {
			inBubble(t, slow, func(t *testing.T, w *world) {
				p := startPool(t, w.options(1))
				go func() { _, _ = p.Restart(t.Context(), RestartOptions{}) }()
				time.Sleep(500 * time.Millisecond)
				if want == Releasing {
					time.Sleep(time.Second)
				}
				reach(t, p, want)
				restart(t, p)
				if w.launches() != 2 {
					t.Errorf("%d processes were launched, want 2", w.launches())
				}
			})
		}
	})
	t.Run("backoff", func(t *testing.T) {
		inBubble(t, steady, func(t *testing.T, w *world) {
			o := w.options(1)
			o.BackoffMin, o.BackoffMax = time.Hour, time.Hour
			p := startPool(t, o)
			w.process("default-0").end(Exit{Code: 1})
			reach(t, p, Backoff)
			began := time.Now()
			restart(t, p)
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v: it waited for the pause", took)
			}
		})
	})
	t.Run("failed", func(t *testing.T) {
		inBubble(t, steady, func(t *testing.T, w *world) {
			o := w.options(1)
			o.MaxRestarts, o.RestartWindow = 1, time.Hour
			p := startPool(t, o)
			for range 2 {
				w.process("default-0").end(Exit{Code: 1})
				time.Sleep(time.Second)
			}
			reach(t, p, Failed)
			restartOne(t, p, "default-0")
			w.process("default-0").end(Exit{Code: 1})
			time.Sleep(time.Second)
			reach(t, p, Ready) // its budget is whole again
			restart(t, p)
		})
	})
	t.Run("blocked", func(t *testing.T) {
		keeps := func(s Spec) behaviour {
			if s.Incarnation == 1 {
				return behaviour{keepsPort: 10 * time.Second}
			}
			return steady(s)
		}
		inBubble(t, keeps, func(t *testing.T, w *world) {
			p := startPool(t, w.options(1))
			w.process("default-0").end(Exit{Code: 1})
			time.Sleep(9 * time.Second)
			reach(t, p, Blocked)
			restart(t, p)
		})
	})
	t.Run("stopped", func(t *testing.T) {
		inBubble(t, steady, func(t *testing.T, w *world) {
			p := startPool(t, w.options(2))
			results, err := p.StopWorkers(t.Context(), []string{"default-0"}, StopOptions{})
			if err != nil || results[0].Exit != "exit 0" {
				t.Fatalf("got %+v, %v", results, err)
			}
			time.Sleep(time.Hour)
			reach(t, p, Stopped)
			restart(t, p)
		})
	})
}

func TestRestartRefusesWhomItDoesNotKnow(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		_, err := p.Restart(t.Context(), RestartOptions{Workers: []string{"default-0", "default-7"}})
		if !errors.Is(err, ErrNoWorker) || w.launches() != 2 {
			t.Errorf("got %v after %d launches; want nothing to be done", err, w.launches())
		}
		p.Stop(StopOptions{})
	})
}

// A port that stays held is named with its holder, and the worker comes back by
// itself as soon as it is free.
func TestRestartWithAHeldPort(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		port := p.Worker("default-0").Port
		w.process("default-0").keepsPort = time.Hour
		began := time.Now()
		results, err := p.Restart(t.Context(), RestartOptions{Workers: []string{"default-0"}, ReleaseTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		var held *CleanupTimeoutError
		if !errors.As(results[0].Err, &held) || held.Port != port || held.Holder != "default-0" || held.After != 5*time.Second {
			t.Errorf("got %+v, want its port and who holds it", results[0])
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v, want the 5s that were asked for", took)
		}
		if s := state(p, "default-0"); s != Blocked {
			t.Errorf("it is %s", s)
		}
		if state(p, "default-1") != Ready {
			t.Error("its neighbour was harmed")
		}
		w.hold(port, "")
		time.Sleep(time.Second)
		if s := p.Worker("default-0"); s.State != Ready || s.Port != port {
			t.Errorf("got %+v, want it back on port %d", s, port)
		}
		p.Stop(StopOptions{})
	})
}

// A port that is taken while nobody runs on it costs no process and no budget.
func TestPortTakenDuringBackoff(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(1)
		o.BackoffMin, o.BackoffMax = 10*time.Second, 10*time.Second
		p := startPool(t, o)
		port := p.Worker("default-0").Port
		w.process("default-0").end(Exit{Code: 1})
		time.Sleep(time.Second)
		w.hold(port, "a stranger")
		time.Sleep(time.Minute)
		if s := p.Worker("default-0"); s.State != Blocked || w.launches() != 1 {
			t.Errorf("got %+v after %d launches, want it blocked", s, w.launches())
		}
		w.hold(port, "")
		time.Sleep(time.Second)
		if s := state(p, "default-0"); s != Ready {
			t.Errorf("it is %s, want ready", s)
		}
		p.Stop(StopOptions{})
	})
}

// The port of a worker that was not running is waited for like that of one that
// was.
func TestRestartOfAStoppedWorkerWithAHeldPort(t *testing.T) {
	for _, after := range []time.Duration{time.Second, time.Minute} {
		inBubble(t, steady, func(t *testing.T, w *world) {
			p := startPool(t, w.options(1))
			port := p.Worker("default-0").Port
			if _, err := p.StopWorkers(t.Context(), []string{"default-0"}, StopOptions{}); err != nil {
				t.Fatal(err)
			}
			w.hold(port, "a stranger")
			time.AfterFunc(after-time.Microsecond, func() { w.hold(port, "") })
			results, _ := p.Restart(t.Context(), RestartOptions{})
			var held *CleanupTimeoutError
			switch r := results[0]; {
			case after == time.Second && (r.Err != nil || r.Release != time.Second):
				t.Errorf("got %+v, want it ready once the port is free", r)
			case after == time.Minute && (!errors.As(r.Err, &held) || held.Holder != "a stranger" || held.After != 2*time.Second):
				t.Errorf("got %+v, want who holds it", r)
			}
			if w.launches() > 2 {
				t.Errorf("%d processes were launched", w.launches())
			}
			time.Sleep(2 * time.Minute)
			if s := state(p, "default-0"); s != Ready {
				t.Errorf("it is %s", s)
			}
			p.Stop(StopOptions{})
		})
	}
}

func TestRestartThatDoesNotBecomeReady(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Incarnation == 2 {
			return behaviour{diesAfter: time.Millisecond, silent: true, exit: Exit{Code: 3}}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		results, _ := p.Restart(t.Context(), RestartOptions{})
		var failed *NotRestartedError
		if !errors.As(results[0].Err, &failed) || len(failed.Failure.Output) == 0 || results[0].NewPID != 0 {
			t.Errorf("got %+v, want the failure and its last words", results[0])
		}
		time.Sleep(time.Minute)
		if s := state(p, "default-0"); s != Ready {
			t.Errorf("it is %s, want that supervision went on", s)
		}
		p.Stop(StopOptions{})
	})
}

// Many who restart the same worker get one restart, and all of them its result.
func TestRestartsAtOnceAreOne(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		results := make(chan Restarted, 50)
		for range cap(results) {
			go func() {
				all, _ := p.Restart(t.Context(), RestartOptions{Workers: []string{"default-0"}})
				results <- all[0]
			}()
		}
		pids := map[int]bool{}
		for range cap(results) {
			r := <-results
			if r.Err != nil {
				t.Error(r.Err)
			}
			pids[r.NewPID] = true
		}
		if len(pids) != 1 || w.launches() != 3 {
			t.Errorf("new PIDs %v after %d launches, want one new process", pids, w.launches())
		}
		p.Stop(StopOptions{})
	})
}

// An interrupted restart leaves the pool whole.
func TestInterruptedRestartGoesOn(t *testing.T) {
	slow := func(Spec) behaviour { return behaviour{readyAfter: time.Second, stopTakes: time.Second} }
	inBubble(t, slow, func(t *testing.T, w *world) {
		p := startPool(t, w.options(3))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		results, err := p.Restart(ctx, RestartOptions{})
		if err != nil || len(results) != 3 {
			t.Fatalf("got %+v, %v", results, err)
		}
		for i, r := range results {
			if !errors.Is(r.Err, context.DeadlineExceeded) || errors.Is(r.Err, ErrNotTried) != (i > 0) {
				t.Errorf("result %d: %+v", i, r)
			}
		}
		time.Sleep(10 * time.Second)
		for i, s := range p.Status() {
			if s.State != Ready || (s.Incarnation == 2) != (i == 0) {
				t.Errorf("got %+v; want the one under way restarted, and no other", s)
			}
		}
		p.Stop(StopOptions{})
	})
}

// down is how many workers of the pool were out of service at most, by the
// events since the given one.
func (w *world) down(from int) (most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]bool{}
	for _, e := range w.events[from:] {
		out[e.Worker] = e.To != Ready
		n := 0
		for _, is := range out {
			if is {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func TestRollingLimits(t *testing.T) {
	for _, n := range []int{0, 1, 3, 8, 20} {
		inBubble(t, steady, func(t *testing.T, w *world) {
			p := startPool(t, w.options(8))
			begun := w.seen()
			var told []string
			results, err := p.Restart(t.Context(), RestartOptions{
				Rolling: n, Result: func(r Restarted) { told = append(told, r.Worker) },
			})
			if err != nil || len(results) != 8 || len(told) != 8 {
				t.Fatalf("got %d results, %d told, %v", len(results), len(told), err)
			}
			if most, want := w.down(begun), min(8, max(1, n)); most != want {
				t.Errorf("%d workers were out of service together, want %d", most, want)
			}
			p.Stop(StopOptions{})
		})
	}
}

// Two who restart several do so one after the other: together they would take more
// out of service than either may.
func TestRollingRestartsTakeTurns(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(4))
		begun := w.seen()
		done := make(chan error, 2)
		for _, workers := range [][]string{{"default-0", "default-1"}, {"default-2", "default-3"}} {
			go func() {
				_, err := p.Restart(t.Context(), RestartOptions{Rolling: 1, Workers: workers})
				done <- err
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if most := w.down(begun); most != 1 {
			t.Errorf("%d were out of service together", most)
		}
		p.Stop(StopOptions{})
	})
}

// A worker that cannot be restarted keeps its place: with one more, the pool
// would lose two.
func TestRollingStopsWhenItHasLostEnough(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Incarnation > 1 {
			return behaviour{silent: true, diesAfter: time.Millisecond, exit: Exit{Code: 1}}
		}
		return steady(s)
	}
	for _, n := range []int{1, 2} {
		inBubble(t, behave, func(t *testing.T, w *world) {
			p := startPool(t, w.options(5))
			results, _ := p.Restart(t.Context(), RestartOptions{Rolling: n})
			var tried, not []string
			for _, r := range results {
				if errors.Is(r.Err, ErrNotTried) {
					not = append(not, r.Worker)
				} else {
					tried = append(tried, r.Worker)
				}
			}
			if len(tried) != n || len(not) != 5-n {
				t.Errorf("with %d at once: tried %v, not %v", n, tried, not)
			}
			p.Stop(StopOptions{})
		})
	}
}

// Those that do not serve cost nothing, and come first.
func TestRollingBeginsWithTheUnready(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(4))
		if _, err := p.StopWorkers(t.Context(), []string{"default-2"}, StopOptions{}); err != nil {
			t.Fatal(err)
		}
		results, _ := p.Restart(t.Context(), RestartOptions{})
		if results[0].Worker != "default-2" || results[0].Err != nil {
			t.Errorf("the first was %+v, want default-2", results[0])
		}
		p.Stop(StopOptions{})
	})
}

func TestStopOverrulesARestart(t *testing.T) {
	slow := func(Spec) behaviour { return behaviour{stopTakes: time.Second, readyAfter: time.Second} }
	for _, after := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond} {
		inBubble(t, slow, func(t *testing.T, w *world) {
			p := startPool(t, w.options(1))
			done := make(chan Restarted, 1)
			go func() {
				results, _ := p.Restart(t.Context(), RestartOptions{})
				done <- results[0]
			}()
			time.Sleep(after)
			p.Stop(StopOptions{})
			if r := <-done; !errors.Is(r.Err, ErrStopped) {
				t.Errorf("got %+v, want that it was stopped", r)
			}
			if results, err := p.Restart(t.Context(), RestartOptions{}); err != nil || !errors.Is(results[0].Err, ErrStopped) {
				t.Errorf("a restart after the stop: %+v, %v", results, err)
			}
		})
	}
}

// What belongs to the process before reaches nobody.
func TestEventsOfTheIncarnationBefore(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		restartOne(t, p, "default-0")
		slot := p.all()[0]
		for _, late := range []any{
			exited{1},
			becameReady{1, fakeClient{}, Health{}},
			notReady{1, errors.New("late")},
			released{incarnation: 1},
			timerRang{1, readyTimer},
			timerRang{1, killTimer},
			timerRang{1, healthTimer},
			timerRang{1, ttlTimer},
			timerRang{1, backoffTimer},
			timerRang{1, stacksTimer},
			recycleDue{1, "max_calls"},
			healthTold{incarnation: 1, err: errors.New("late")},
		} {
			slot.send(late)
			synctest.Wait()
			if s := p.Worker("default-0"); s.State != Ready || s.Incarnation != 2 || s.Message != "" {
				t.Errorf("after a late %T %+v it is %+v", late, late, s)
			}
		}
		p.Stop(StopOptions{})
	})
}

// A restart of a process that nothing ends is refused in words.
func TestRestartOfTheUnkillable(t *testing.T) {
	behave := func(s Spec) behaviour {
		return behaviour{ignoreTERM: true, unkillable: s.Incarnation == 1}
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		for range 2 { // while it is tried, and again when it has been given up
			results, _ := p.Restart(t.Context(), RestartOptions{Force: true})
			var failed *NotRestartedError
			if !errors.As(results[0].Err, &failed) || results[0].NewPID != 0 {
				t.Errorf("got %+v", results[0])
			}
		}
		if w.launches() != 1 {
			t.Errorf("%d processes were launched beside the one that is there", w.launches())
		}
		p.Stop(StopOptions{})
		endAndForget(w, "default-0")
	})
}

func TestForceRestartsWithoutGrace(t *testing.T) {
	stubborn := func(s Spec) behaviour { return behaviour{ignoreTERM: s.Incarnation == 1} }
	inBubble(t, stubborn, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		results, _ := p.Restart(t.Context(), RestartOptions{Force: true})
		if r := results[0]; r.Err != nil || r.Total != 0 {
			t.Errorf("got %+v, want it at once", r)
		}
		if sent := w.processes[0].signals; slices.Contains(sent, 15) {
			t.Errorf("it was sent %v", sent)
		}
		p.Stop(StopOptions{})
	})
}

// A second request cannot make the first one milder, but it can hurry it.
func TestForceHurriesARestart(t *testing.T) {
	stubborn := func(s Spec) behaviour { return behaviour{ignoreTERM: s.Incarnation == 1} }
	inBubble(t, stubborn, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		began := time.Now()
		time.AfterFunc(time.Second, func() { _, _ = p.Restart(t.Context(), RestartOptions{Force: true}) })
		results, _ := p.Restart(t.Context(), RestartOptions{Grace: time.Hour})
		if took := time.Since(began); results[0].Err != nil || took != time.Second {
			t.Errorf("got %+v after %v, want it when the second came", results, took)
		}
		p.Stop(StopOptions{})
	})
}

// The pause grows with every crash, and starts over when a process has been well
// for the quiet time.
func TestPausesGrowAndStartOver(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(1)
		o.MaxRestarts, o.QuietTime = 1000, time.Minute
		p := startPool(t, o)
		crash := func() (pause time.Duration) {
			begun := w.seen()
			w.process("default-0").end(Exit{Code: 1})
			synctest.Wait()
			for state(p, "default-0") != Ready {
				time.Sleep(time.Millisecond)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			var from time.Time
			for _, e := range w.events[begun:] {
				switch {
				case e.To == Backoff:
					from = e.Time
				case e.From == Backoff:
					pause = e.Time.Sub(from)
				}
			}
			return pause
		}
		var pauses []time.Duration
		for range 12 {
			pauses = append(pauses, crash())
		}
		early, late := pauses[0]+pauses[1]+pauses[2], pauses[9]+pauses[10]+pauses[11]
		if late < 5*early {
			t.Errorf("the pauses hardly grow: %v", pauses)
		}
		time.Sleep(2 * time.Minute)
		if pause := crash(); pause > 100*time.Millisecond {
			t.Errorf("after a quiet time the pause is %v, after %v", pause, pauses)
		}
		p.Stop(StopOptions{})
	})
}
