package pool

import (
	"errors"
	"fmt"
	"time"
)

// What comes after a process: another try, a pause, or none.

// maxMoves is how many times a first start may choose another free port.
const maxMoves = 5

// onStartFailure gives a worker up that never served while the pool starts;
// later the restart budget decides.
func (w *worker) onStartFailure() {
	if w.failure.Kind == "port_in_use" && w.opts.BasePort == 0 && w.begins() && w.moves < maxMoves {
		if ports, err := w.opts.Ports.Free(w.opts.Host, 1); err == nil {
			w.moves++
			w.port = ports[0]
			w.enterPending("port was taken, trying another")
			return
		}
	}
	w.endOrder(&NotRestartedError{*w.failure})
	if w.begins() {
		w.giveUp(w.failure.Reason)
		return
	}
	w.restart(w.failure.Reason)
}

// onNoProcess is a launch that failed. A system that is short of something is asked
// again, as long as a worker may take to become ready; it says nothing of the worker.
func (w *worker) onNoProcess(err error) {
	now := time.Now()
	if isShortage(err) {
		w.pool.gate.refused()
	}
	w.leaveGate(0)
	if w.shortSince.IsZero() {
		w.shortSince = now
	}
	if isShortage(err) && now.Sub(w.shortSince) < w.opts.ReadyTimeout && !w.pool.stopping.Load() {
		pause := w.pause.NextBackOff()
		w.message = err.Error()
		w.move(Backoff, fmt.Sprintf("%v; next try in %v", err, pause.Round(time.Millisecond)))
		w.setTimer(backoffTimer, pause)
		return
	}
	w.shortSince = time.Time{}
	w.failure = w.newFailure(err)
	w.onStartFailure()
}

// begins says that the worker, or its pool, is still being started: somebody waits
// for the first process, and wants to hear why it does not serve.
func (w *worker) begins() bool { return !w.served || !w.pool.started.Load() }

// restart goes to backoff, or to failed once the budget is spent.
func (w *worker) restart(reason string) {
	now := time.Now()
	if !w.readyAt.IsZero() && now.Sub(w.readyAt) >= w.opts.QuietTime {
		w.pause.Reset()
	}
	w.recent = append(within(w.recent, now, w.opts.RestartWindow), now)
	if len(w.recent) > w.opts.MaxRestarts {
		w.giveUp(fmt.Sprintf("gave up after %d restarts within %v; last: %s", max(0, w.opts.MaxRestarts), w.opts.RestartWindow, reason))
		return
	}
	w.restarts++
	pause := w.pause.NextBackOff()
	w.move(Backoff, fmt.Sprintf("%s; next try in %v", reason, pause.Round(time.Millisecond)))
	w.setTimer(backoffTimer, pause)
}

func (w *worker) giveUp(reason string) {
	w.message = reason
	if w.failure == nil { // it had been ready
		w.failure = w.newFailure(errors.New(reason))
	}
	w.move(Failed, reason)
	w.endOrder(&NotRestartedError{*w.failure})
	w.pool.calls.changed()
}

// within keeps the times that lie in the window before now.
func within(times []time.Time, now time.Time, window time.Duration) []time.Time {
	kept := times[:0]
	for _, t := range times {
		if now.Sub(t) < window {
			kept = append(kept, t)
		}
	}
	return kept
}
