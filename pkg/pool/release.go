package pool

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What outlives a process, and the wait for it.

// onExit follows the end of the process, asked for or not.
func (w *worker) onExit() {
	exit := w.process.Exit()
	w.lastExit = exit.String()
	asked := w.state == Stopping
	if w.state == Starting && w.failure == nil {
		w.failure = w.newFailure(fmt.Errorf("it ended before it was ready: %s", exit))
		w.message = w.failure.Reason
	}
	if w.state == Ready {
		w.message = "ended unasked: " + w.lastExit
	}
	w.pool.calls.remove(w.id)
	w.cancel()
	w.stopTimers()
	w.dropSlot()
	w.stop.Exit = w.lastExit
	w.move(Releasing, w.lastExit)
	w.release(asked)
}

// release waits, off the worker's goroutine, for what outlives a process: the
// rest of its group, its port, its registry entry.
func (w *worker) release(asked bool) {
	w.cancel()
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.attempt++
	grace := max(0, time.Until(w.deadline))
	if !asked {
		grace = 0 // these have lost their leader: nothing is left to wait for
	}
	go func(incarnation uint64, attempt int, process Process, failed bool) {
		outlived, err := w.freeResources(ctx, process, grace)
		var output []string
		if failed {
			output = process.Tail()
		}
		w.send(released{incarnation, attempt, output, outlived, err})
	}(w.incarnation, w.attempt, w.process, w.failure != nil)
}

func (w *worker) freeResources(ctx context.Context, process Process, grace time.Duration) ([]procscan.Ended, error) {
	outlived, err := process.EndGroup(ctx, grace)
	if err != nil {
		return outlived, err
	}
	limited, cancel := context.WithTimeout(ctx, w.opts.ReleaseTimeout)
	defer cancel()
	if err := w.opts.Ports.WaitFree(limited, w.opts.Host, w.port); err != nil {
		return outlived, &CleanupTimeoutError{
			Worker: w.id, Port: w.port, After: w.opts.ReleaseTimeout,
			Holder: w.opts.Ports.Holder(ctx, w.opts.Host, w.port), Err: err,
		}
	}
	return outlived, w.opts.Registry.Remove(w.id)
}

// onReleased goes on to what the worker is for.
func (w *worker) onReleased(e released) {
	w.noteOutlived(e.outlived)
	if w.failure != nil && e.output != nil {
		failure := *w.failure // others read the one that is published
		failure.Output = e.output
		w.failure = &failure
	}
	switch {
	case w.purpose == toStop:
		w.noteStop(e.err)
		w.move(Stopped, "released")
	case e.err != nil && !w.pool.started.Load():
		w.onHeld(e.err)
	case e.err != nil:
		w.onBlocked(e.err)
	case w.state == Blocked:
		w.restarts++
		w.enterPending("port is free")
	case w.failure != nil:
		w.onStartFailure()
	default:
		w.restart(w.message)
	}
}

// noteOutlived says who was still there after the process, and what became of
// them.
func (w *worker) noteOutlived(all []procscan.Ended) {
	w.stop.Survivors = append(w.stop.Survivors, survivorsOf(all, "left by "+w.id)...)
	var pids []string
	for _, e := range all {
		if !e.Alive && e.Signal != "" {
			w.stop.Outlived = append(w.stop.Outlived, e)
			pids = append(pids, strconv.Itoa(e.ID.PID))
		}
	}
	if len(pids) > 0 && w.message != "" {
		w.message += "; what it had left was ended: PID " + strings.Join(pids, ", ")
	}
}

// onHeld is a port that does not come free while the pool starts, which must
// not wait for others without limit.
func (w *worker) onHeld(err error) {
	if w.failure == nil {
		w.failure = w.newFailure(err)
	}
	w.onStartFailure()
}

// onBlocked waits for a port that somebody else holds. It asks on, because
// nothing in the kernel tells when a port of another process comes free.
func (w *worker) onBlocked(err error) {
	w.message = err.Error()
	w.move(Blocked, w.message)
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func(incarnation uint64, attempt int) {
		if w.opts.Ports.WaitFree(ctx, w.opts.Host, w.port) == nil {
			w.send(released{incarnation: incarnation, attempt: attempt})
		}
	}(w.incarnation, w.attempt)
}
