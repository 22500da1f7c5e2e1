package pool

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A worker that does not answer leaves its stacks, and is replaced.
func TestHungWorkerIsReplaced(t *testing.T) {
	behave := func(s Spec) behaviour { return behaviour{ignoreTERM: s.Incarnation == 1} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		hung := w.process("default-0")
		port := p.Worker("default-0").Port
		w.silence(port, true)
		time.Sleep(14 * time.Second) // it is asked within 10 s, and has 15
		if s := state(p, "default-0"); s != Ready {
			t.Errorf("it is %s before its time is over", s)
		}
		time.Sleep(13 * time.Second)
		if s := p.Worker("default-0"); s.State != Stopping || !strings.Contains(s.Message, "no answer to the health RPC for") {
			t.Errorf("got %+v, want that it is ended", s)
		}
		synctest.Wait()
		if !hung.wasDumped() || len(hung.signals) == 0 || hung.signals[0] != syscall.SIGTERM {
			t.Errorf("stacks %v, signals %v: want the stacks, then TERM", hung.dumped, hung.signals)
		}
		w.silence(port, false)
		time.Sleep(30 * time.Second)
		s := p.Worker("default-0")
		if s.State != Ready || s.Incarnation != 2 || s.Restarts != 1 || s.LastExit != "SIGKILL" || s.Port != port {
			t.Errorf("got %+v, want another process on the port", s)
		}
		if other := p.Worker("default-1"); other.Incarnation != 1 {
			t.Errorf("its neighbour: %+v", other)
		}
		if cause := w.cause("default-0"); cause != "hung" {
			t.Errorf("the restart was caused by %q", cause)
		}
		p.Stop(StopOptions{})
	})
}

// cause is that of the last restart of a worker.
func (w *world) cause(worker string) (last string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Worker == worker && e.Cause != "" {
			last = e.Cause
		}
	}
	return last
}

// One answer that is late is forgiven.
func TestSlowWorkerIsLeftAlone(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		port := p.Worker("default-0").Port
		for range 5 {
			w.silence(port, true)
			time.Sleep(14 * time.Second)
			w.silence(port, false)
			time.Sleep(20 * time.Second)
		}
		if s := p.Worker("default-0"); s.Incarnation != 1 || s.State != Ready {
			t.Errorf("got %+v", s)
		}
		p.Stop(StopOptions{})
	})
}

func TestNoHealthRPCs(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(1)
		o.HealthInterval = -1
		p := startPool(t, o)
		w.silence(p.Worker("default-0").Port, true)
		time.Sleep(time.Hour)
		if s := p.Worker("default-0"); s.Incarnation != 1 || s.State != Ready {
			t.Errorf("got %+v", s)
		}
		p.Stop(StopOptions{})
	})
}

// While a hung process is about to be ended, calls go elsewhere.
func TestHungWorkerGetsNoCalls(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		w.silence(p.Worker("default-0").Port, true)
		for !w.process("default-0").wasDumped() {
			time.Sleep(time.Millisecond)
		}
		if worker, _, err := p.Execute(t.Context(), "", Call{Tool: "ping"}, nil); worker != "default-1" || err != nil {
			t.Errorf("the call went to %q, %v", worker, err)
		}
		w.silence(p.Worker("default-0").Port, false)
		p.Stop(StopOptions{})
	})
}

// Whoever lives long keeps no more timers than who has just begun.
func TestTimersDoNotAdd(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := len(p.all()[0].timers); n > 8 {
			t.Errorf("after a day it has %d timers", n)
		}
		p.Stop(StopOptions{})
	})
}

// The last answer stays visible when no more come, and goes with its process.
func TestLastHealthIsVisible(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		port := p.Worker("default-0").Port
		time.Sleep(time.Minute)
		synctest.Wait()
		last := p.Worker("default-0").Health
		if age := time.Since(last.At); age > 10*time.Second {
			t.Errorf("it answered last %v ago, and is asked every 10 s", age)
		}
		w.silence(port, true)
		time.Sleep(10 * time.Second)
		if got := p.Worker("default-0").Health; got != last {
			t.Errorf("it is silent, and its last answer was %+v: got %+v", last, got)
		}
		for !w.process("default-0").wasDumped() {
			time.Sleep(time.Millisecond)
		}
		w.silence(port, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := p.Worker("default-0"); got.Incarnation != 2 || !got.Health.At.After(got.StartedAt) {
			t.Errorf("got %+v, want an answer of the new process", got)
		}
		p.Stop(StopOptions{})
	})
}
