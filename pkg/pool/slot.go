package pool

import (
	"slices"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// The worker's bookkeeping: state changes, timers, its registry entry, its
// place in the launch queue.

// move changes the state, tells the observer, and publishes a copy. An illegal
// move is a defect of this package: it is refused and shown, and the worker
// stays where it was.
func (w *worker) move(to State, reason string) {
	first := w.state == Pending && to == Pending && w.incarnation == 1
	if err := transition(w.id, w.state, to); err != nil && !first {
		w.message = err.Error()
		w.publish()
		return
	}
	event := Event{
		Time: time.Now(), Pool: w.opts.Name, Worker: w.id, From: w.state, To: to,
		Incarnation: w.incarnation, PID: w.pid(), Port: w.port, Reason: reason, Cause: w.cause(to),
	}
	if to == Releasing && w.process != nil {
		event.Exit = w.process.Exit().Kind()
	}
	w.state = to
	w.telling.Store(true)
	w.publish()
	w.opts.Observer.Observe(event)
	w.telling.Store(false)
	w.pool.changed()
}

// isTelling says that the observer does not know yet what others see: who waits
// for a state is told last.
func (w *worker) isTelling() bool { return w.telling.Load() }

// cause says why a move to this state begins a restart; "" when it does not.
func (w *worker) cause(to State) string {
	switch {
	case !w.shortSince.IsZero(): // it goes on with what it had begun
		return ""
	case to == Pending && w.order != nil:
		return w.order.cause
	case w.state == Blocked && to == Pending:
		return "blocked"
	case to != Backoff:
		return ""
	case w.failure != nil && slices.Contains([]string{"ready_timeout", "cleanup_timeout", "hung"}, w.failure.Kind):
		return w.failure.Kind
	case w.failure != nil:
		return "start_failure"
	}
	if w.process == nil {
		return "exit"
	}
	exit := w.process.Exit()
	switch exit.Kind() {
	case ExitOutOfMemory:
		return string(ExitOutOfMemory)
	case ExitSignal:
		return exit.String()
	}
	return "exit"
}

func (w *worker) pid() int {
	if w.process == nil {
		return 0
	}
	return w.process.ID().PID
}

// lives says whether the slot has a process that has not ended.
func (w *worker) lives() bool {
	if w.process == nil {
		return false
	}
	select {
	case <-w.process.Done():
		return false
	default:
		return true
	}
}

// isBeingLaunched is for others, who see what is published.
func (w *worker) isBeingLaunched() bool {
	state := w.status.Load().State
	return state == Pending || state == Starting
}

// publish leaves a copy of the worker's state for readers.
func (w *worker) publish() {
	status := Status{
		Worker: w.id, Pool: w.opts.Name, State: w.state, Host: w.opts.Host, Port: w.port,
		Incarnation: w.incarnation, Restarts: w.restarts, LastExit: w.lastExit, Message: w.message,
		Failure: w.failure,
	}
	if w.lives() {
		status.Process = w.process.ID()
		status.StartedAt, status.StartedBy = w.startedAt, w.process.StartedBy()
		status.Health = w.health
	}
	w.status.Store(&status)
}

func (w *worker) spec() Spec {
	return Spec{
		RunID: w.opts.RunID, Pool: w.opts.Name, Worker: w.id, Incarnation: w.incarnation,
		Host: w.opts.Host, Port: w.port, Grace: w.opts.Grace, ReadyTimeout: w.opts.ReadyTimeout,
	}
}

func (w *worker) register(id procscan.ID) error {
	return w.opts.Registry.Put(Entry{
		Worker: w.id, Pool: w.opts.Name, Host: w.opts.Host, Port: w.port,
		Incarnation: w.incarnation, Process: id,
	})
}

// setTimer sends a timer event of this incarnation, which is dropped if
// another process is in the slot by then. Of each kind there is one timer.
func (w *worker) setTimer(what timerKind, after time.Duration) {
	if before := w.timers[what]; before != nil {
		before.Stop()
	}
	incarnation := w.incarnation
	w.timers[what] = time.AfterFunc(after, func() { w.send(timerRang{incarnation, what}) })
}

func (w *worker) stopTimers() {
	for _, timer := range w.timers {
		timer.Stop()
	}
	clear(w.timers)
}

// leaveGate lets the next worker start. This one took so long; 0: it did not become
// ready.
func (w *worker) leaveGate(took time.Duration) {
	if w.turn != nil {
		w.pool.gate.leave(*w.turn, took)
		w.turn = nil
	}
}
