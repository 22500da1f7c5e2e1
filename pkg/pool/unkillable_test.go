package pool

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A process in state D obeys nobody. Nothing may wait for it without limit.

func endAndForget(w *world, worker string) {
	w.process(worker).end(Exit{Signal: syscall.SIGKILL})
	_ = w.Remove(worker)
}

func TestStopReportsTheUnkillable(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Worker == "default-0" {
			return behaviour{ignoreTERM: true, unkillable: true}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(2))
		pid := p.Worker("default-0").Process.PID
		began := time.Now()
		results := p.Stop(StopOptions{Grace: time.Second})
		if took := time.Since(began); took != time.Second+killWait {
			t.Errorf("stop took %v, want the grace time and %v", took, killWait)
		}
		r := results[0]
		why := fmt.Sprintf("PID %d is still there 5s after KILL", pid)
		want := StopResult{
			Worker: "default-0", PID: pid, Exit: "not ended", Signal: "KILL", Took: r.Took,
			Survivors: []Survivor{{PID: pid, What: "default-0: " + why}}, Err: why,
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if _, kept := w.registry["default-0"]; !kept {
			t.Error("a process that lives is not in the registry any more")
		}
		if results[1].Exit != "exit 0" {
			t.Errorf("the other one: %+v", results[1])
		}
		endAndForget(w, "default-0")
	})
}

func TestStartDoesNotWaitForTheUnkillable(t *testing.T) {
	behave := func(Spec) behaviour { return behaviour{silent: true, ignoreTERM: true, unkillable: true} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		o := w.options(1)
		o.ReadyTimeout, o.Grace = time.Second, time.Second
		p, _ := New(o)
		var failed *StartError
		if err := p.Start(t.Context()); !errors.As(err, &failed) || failed.Failures[0].Kind != "ready_timeout" {
			t.Fatalf("got %v, want a ready_timeout", err)
		}
		if s := p.Worker("default-0"); s.State != Failed || s.Process.PID == 0 {
			t.Errorf("got %+v; want failed, with the process that is there", s)
		}
		began := time.Now()
		r := p.Stop(StopOptions{})[0]
		if time.Since(began) != 0 || r.Exit != "not ended" || len(r.Survivors) != 1 {
			t.Errorf("after %v: %+v; want a survivor, at once", time.Since(began), r)
		}
		endAndForget(w, "default-0")
	})
}

func TestUnkillableThatEndsAtLastIsReplaced(t *testing.T) {
	behave := func(s Spec) behaviour {
		if s.Incarnation == 2 {
			return behaviour{silent: true, ignoreTERM: true, unkillable: true}
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		w.process("default-0").end(Exit{Code: 1})
		time.Sleep(time.Minute)
		if s := state(p, "default-0"); s != Failed {
			t.Fatalf("it is %s, want failed", s)
		}
		w.process("default-0").end(Exit{Signal: syscall.SIGKILL})
		time.Sleep(time.Minute)
		if s := p.Worker("default-0"); s.State != Ready || s.Incarnation != 3 {
			t.Errorf("got %+v, want the third incarnation ready", s)
		}
		want := []State{Pending, Starting, Stopping, Failed, Releasing, Backoff, Pending, Starting, Ready}
		if path := w.path("default-0"); len(path) < len(want) || cmp.Diff(want, path[len(path)-len(want):]) != "" {
			t.Errorf("it went %v, want %v in the end", path, want)
		}
		p.Stop(StopOptions{})
	})
}

// A timer of the start must not cut the grace time of a stop short.
func TestLateTimerDoesNotKill(t *testing.T) {
	behave := func(Spec) behaviour { return behaviour{closes: true, stopTakes: 2 * time.Second} }
	inBubble(t, behave, func(t *testing.T, w *world) {
		p, _ := New(w.options(1))
		started := make(chan error, 1)
		go func() { started <- p.Start(t.Context()) }()
		time.Sleep(999 * time.Millisecond)
		go func() {
			synctest.Wait()
			p.all()[0].send(timerRang{1, silentTimer}) // rang as the stop came
		}()
		if r := p.Stop(StopOptions{})[0]; r.Signal != "TERM" || r.Exit != "exit 0" {
			t.Errorf("got %+v, want it ended by TERM", r)
		}
		<-started
	})
}
