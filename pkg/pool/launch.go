package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// How a slot gets a process that serves.

// enterPending asks for a turn to launch the next incarnation.
func (w *worker) enterPending(reason string) {
	w.cancel()
	w.stopTimers()
	w.incarnation++
	w.process, w.failure, w.health = nil, nil, Health{}
	w.stop = StopResult{} // that was about the process before
	w.move(Pending, reason)
	ctx := w.newContext()
	go func(incarnation uint64) {
		turn, ok := w.pool.gate.enter(ctx)
		if !ok {
			return
		}
		select {
		case w.turns <- turnCame{incarnation, turn}:
		case <-ctx.Done(): // the worker has gone on, or ended: nobody would give the turn back
			w.pool.gate.leave(turn, 0)
		}
	}(w.incarnation)
}

// newContext ends what runs for the slot, and is for what runs from now on.
func (w *worker) newContext() context.Context {
	w.cancel()
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w.ctx
}

// onTurn registers the slot, then launches its process: a crash in between
// leaves an entry without a process, never a process without an entry.
func (w *worker) onTurn(turn pass) {
	w.turn = &turn
	if w.portIsTaken() {
		return
	}
	w.startedAt = time.Now()
	err := w.register(procscan.ID{})
	if err == nil {
		w.process, err = w.opts.Launcher.Launch(context.Background(), w.spec())
	}
	if errors.Is(err, ErrStopping) && w.pool.stopping.Load() {
		w.leaveGate(0) // it has not failed: its own stop is on its way
		return
	}
	if err != nil {
		w.onNoProcess(errors.Join(err, w.opts.Registry.Remove(w.id)))
		return
	}
	if !w.shortSince.IsZero() {
		w.shortSince = time.Time{}
		w.pause.Reset()
	}
	if w.order != nil {
		w.order.launched = true
	}
	w.move(Starting, launchedBy(w.process.StartedBy()))
	w.watch()
	if err := w.register(w.process.ID()); err != nil {
		w.fail(fmt.Errorf("cannot register: %w", err))
	}
}

func launchedBy(method StartMethod) string {
	switch method {
	case Forked:
		return "launched as a fork"
	case StoodBy:
		return "launched, it stood by"
	}
	return "launched"
}

// portIsTaken notices before it costs a process that somebody has taken the
// worker's port since it was free: while the worker was not running, mostly.
func (w *worker) portIsTaken() bool {
	if w.opts.LeaveResources {
		return false
	}
	err := w.opts.Ports.Check(w.ctx, w.opts.Host, w.port)
	if err == nil {
		return false
	}
	w.leaveGate(0)
	held := w.heldPort(w.ctx, 0, err)
	if !w.begins() && w.order != nil { // somebody waits, and wants it to be waited for
		w.move(Blocked, held.Error())
		w.release(false)
		return true
	}
	if !w.begins() {
		w.onBlocked(held)
		return true
	}
	w.failure = w.newFailure(held)
	w.failure.Kind = "port_in_use"
	w.onStartFailure()
	return true
}

// watch turns what happens to the process into events.
func (w *worker) watch() {
	ctx := w.newContext()
	incarnation, process := w.incarnation, w.process
	said := make(chan struct{})
	go func() {
		select {
		case <-process.Done():
			// What it said before it ended comes first: it says more than the exit.
			select {
			case <-said:
			case <-time.After(lastWord):
			}
			w.send(exited{incarnation})
		case <-w.done: // without its process
		}
	}()
	go func() {
		defer close(said)
		client, health, err := w.awaitReady(ctx, process)
		if err != nil {
			w.send(notReady{incarnation, err})
			return
		}
		context.AfterFunc(ctx, client.Close) // whatever becomes of the event
		w.send(becameReady{incarnation, client, health})
	}()
	w.setTimer(readyTimer, w.opts.ReadyTimeout)
}

// lastWord is how long the exit of a process waits for its word on the ready
// channel, which a child of it may hold open.
const lastWord = 250 * time.Millisecond

// awaitReady returns a client once the process says that it is ready and
// answers a health RPC on its port: the word alone is not believed.
func (w *worker) awaitReady(ctx context.Context, process Process) (Client, Health, error) {
	said, err := process.Readiness(ctx)
	if err != nil {
		return nil, Health{}, err
	}
	if !said.Ready {
		return nil, Health{}, &NotReadyError{Kind: said.Kind, Message: said.Message, Hint: said.Hint}
	}
	if said.PID != process.ID().PID {
		return nil, Health{}, fmt.Errorf("PID %d says that it is ready, not PID %d, which was launched", said.PID, process.ID().PID)
	}
	if said.Port != w.port {
		return nil, Health{}, fmt.Errorf("it serves on port %d, not on %d", said.Port, w.port)
	}
	connect := process.Connect()
	if connect == nil {
		connect = w.opts.Connect
	}
	client, err := connect(w.opts.Host, said.Port)
	if err != nil {
		return nil, Health{}, err
	}
	health, err := askedHealth(ctx, client)
	if err != nil {
		client.Close()
		return nil, Health{}, fmt.Errorf("it says that it is ready, but its health RPC fails: %w", err)
	}
	return client, health, nil
}

func (w *worker) onReady(e becameReady) {
	w.stopTimers()
	w.readyAt = time.Now()
	w.leaveGate(w.readyAt.Sub(w.startedAt))
	w.message, w.failure, w.served, w.client, w.health = "", nil, true, e.client, e.health
	w.move(Ready, "answers")
	incarnation := w.incarnation
	w.pool.calls.add(w.id, e.client, w.process, func() { w.send(recycleDue{incarnation, "max_calls"}) })
	w.watchHealth()
	w.limitAge()
	w.endOrder(nil)
	w.pool.prepareNext(w.spec())
}

// onNotReady notes why the process will not serve, and ends it: it usually
// ends itself, but a promise is not an exit.
func (w *worker) onNotReady(err error) {
	if errors.Is(err, errNoReadiness) {
		// The channel closed because the process is ending; its exit says more.
		w.setTimer(silentTimer, time.Second)
		return
	}
	w.fail(err)
}

// fail ends a process that did not become ready, keeping the reason.
func (w *worker) fail(err error) {
	w.failure = w.newFailure(err)
	w.message = w.failure.Reason
	w.end(w.opts.Grace, false, w.message)
}

// onReadyTimeout has the process write its stacks, so that the error can show
// where it hangs. Nothing tells when they are written, so it gets some time.
func (w *worker) onReadyTimeout() {
	// Noted before: it may not know the signal yet, and end by it.
	w.failure = w.newFailure(w.readyTimeout())
	w.message = w.failure.Reason
	if err := w.process.DumpStacks(); err != nil {
		w.fail(w.readyTimeout())
		return
	}
	w.setTimer(stacksTimer, 200*time.Millisecond)
}

func (w *worker) readyTimeout() error {
	if last := w.process.Awaited(w.ctx); last != "" {
		return fmt.Errorf("%w within %v: %s", ErrReadyTimeout, w.opts.ReadyTimeout, last)
	}
	return fmt.Errorf("%w within %v", ErrReadyTimeout, w.opts.ReadyTimeout)
}
