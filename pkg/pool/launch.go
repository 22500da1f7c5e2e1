package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// How a slot gets a process that serves.

// enterPending asks for a launch slot for the next incarnation.
func (w *worker) enterPending(reason string) {
	w.incarnation++
	w.process, w.failure = nil, nil
	w.stop = StopResult{} // that was about the process before
	w.move(Pending, reason)
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func(incarnation uint64) {
		if w.pool.acquireSlot(ctx) {
			w.send(turnCame{incarnation})
		}
	}(w.incarnation)
}

// onTurn registers the slot, then launches its process: a crash in between
// leaves an entry without a process, never a process without an entry.
func (w *worker) onTurn() {
	w.slot = true
	w.startedAt = time.Now()
	err := w.register(procscan.ID{})
	if err == nil {
		w.process, err = w.opts.Launcher.Launch(context.Background(), w.spec())
	}
	if err != nil {
		w.dropSlot()
		w.failure = w.newFailure(errors.Join(err, w.opts.Registry.Remove(w.id)))
		w.onStartFailure()
		return
	}
	w.move(Starting, "launched")
	w.watch()
	if err := w.register(w.process.ID()); err != nil {
		w.fail(fmt.Errorf("cannot register: %w", err))
	}
}

// watch turns what happens to the process into events.
func (w *worker) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
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
		client, err := w.awaitReady(ctx, process)
		if err != nil {
			w.send(notReady{incarnation, err})
			return
		}
		context.AfterFunc(ctx, client.Close) // whatever becomes of the event
		w.send(becameReady{incarnation, client})
	}()
	w.setTimer(readyTimer, w.opts.ReadyTimeout)
}

// lastWord is how long the exit of a process waits for its word on the ready
// channel, which a child of it may hold open.
const lastWord = 250 * time.Millisecond

// awaitReady returns a client once the process says that it is ready and
// answers a health RPC on its port: the word alone is not believed.
func (w *worker) awaitReady(ctx context.Context, process Process) (Client, error) {
	said, err := process.Readiness(ctx)
	if err != nil {
		return nil, err
	}
	if !said.Ready {
		return nil, &NotReadyError{Kind: said.Kind, Message: said.Message, Hint: said.Hint}
	}
	if said.PID != process.ID().PID {
		return nil, fmt.Errorf("PID %d says that it is ready, not PID %d, which was launched", said.PID, process.ID().PID)
	}
	if said.Port != w.port {
		return nil, fmt.Errorf("it serves on port %d, not on %d", said.Port, w.port)
	}
	client, err := w.opts.Connect(w.opts.Host, said.Port)
	if err != nil {
		return nil, err
	}
	if err := client.Healthy(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("it says that it is ready, but its health RPC fails: %w", err)
	}
	return client, nil
}

func (w *worker) onReady(e becameReady) {
	w.stopTimers()
	w.dropSlot()
	w.readyAt = time.Now()
	w.message, w.failure = "", nil
	w.move(Ready, "answers")
	w.pool.calls.add(w.id, e.client, w.process)
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
	return fmt.Errorf("%w within %v", ErrReadyTimeout, w.opts.ReadyTimeout)
}
