package pool

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// causes are those of a worker's restarts, in order.
func (w *world) causes(worker string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var causes []string
	for _, e := range w.events {
		if e.Worker == worker && e.Cause != "" {
			causes = append(causes, e.Cause)
		}
	}
	return causes
}

// Every restart has one cause, in one of few words; a start and a stop have none.
func TestCausesOfRestarts(t *testing.T) {
	scripts := map[string][]behaviour{ // by worker; the last one goes on
		"default-0": {{readyAfter: time.Millisecond, diesAfter: time.Minute, exit: Exit{Signal: syscall.SIGSEGV}}},
		"default-1": {{readyAfter: time.Millisecond, diesAfter: time.Minute, exit: Exit{Code: 3}}},
		"default-2": {
			{readyAfter: time.Millisecond, diesAfter: time.Minute, exit: Exit{Code: 1}},
			{silent: true, diesAfter: time.Millisecond, exit: Exit{Code: 1}},
			{silent: true},
		},
		"default-3": {{readyAfter: time.Millisecond, diesAfter: time.Minute, exit: Exit{Code: 1}, keepsPort: time.Minute}},
	}
	behave := func(s Spec) behaviour {
		if script := scripts[s.Worker]; s.Incarnation <= uint64(len(script)) {
			return script[s.Incarnation-1]
		}
		return steady(s)
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(5))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		p.Stop(StopOptions{})
		got := map[string][]string{}
		for _, s := range p.Status() {
			got[s.Worker] = w.causes(s.Worker)
		}
		want := map[string][]string{
			"default-0": {"SIGSEGV"}, "default-1": {"exit"}, "default-2": {"exit", "start_failure", "ready_timeout"},
			"default-3": {"blocked"}, "default-4": nil,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// callLog is a CallObserver.
type callLog struct {
	mu  sync.Mutex
	all []Called
}

func (l *callLog) ObserveCall(c Called) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c)
}

func TestCallsAreObserved(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		log := &callLog{}
		options := w.options(1)
		options.Calls = log
		p := startPool(t, options)
		_, _, _ = p.Execute(t.Context(), "", Call{Tool: "ping"}, nil)
		_, _, _ = p.Execute(t.Context(), "nobody", Call{Tool: "ping"}, nil)
		p.Stop(StopOptions{})
		workers := []string{}
		for _, c := range log.all {
			workers = append(workers, c.Worker)
		}
		if !slices.Equal(workers, []string{"default-0", ""}) || log.all[0].Err != nil || !errors.Is(log.all[1].Err, ErrNoWorker) || log.all[0].Pool != "default" {
			t.Errorf("%+v", log.all)
		}
	})
}
