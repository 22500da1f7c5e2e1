package pool

import (
	"context"
	"errors"
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
	if w.state == Stopped { // it was left alone, and has ended at last
		w.process = nil
		if err := w.opts.Registry.Remove(w.id); err != nil {
			w.message = err.Error()
		}
		w.publish()
		return
	}
	asked := w.state == Stopping
	if w.state == Starting && w.failure == nil {
		w.failure = w.newFailure(fmt.Errorf("it ended before it was ready: %s", exit))
		w.message = w.failure.Reason
	}
	if w.state == Ready && w.failure == nil {
		w.message = "ended unasked: " + w.lastExit
	}
	if w.order != nil && !w.order.launched {
		w.order.gone = time.Now()
	}
	w.pool.calls.remove(w.id)
	w.cancel()
	w.stopTimers()
	w.leaveGate(0)
	w.client, w.recycling = nil, ""
	w.stop.Exit = w.lastExit
	w.move(Releasing, w.lastExit)
	w.release(asked)
}

// release waits, off the worker's goroutine, for what outlives a process: the
// rest of its group, its port, its registry entry.
func (w *worker) release(asked bool) {
	ctx := w.newContext()
	w.attempt++
	grace := max(0, time.Until(w.deadline))
	if !asked {
		grace = 0 // these have lost their leader: nothing is left to wait for
	}
	patience := w.opts.ReleaseTimeout
	if w.order != nil && w.order.releaseTimeout > 0 {
		patience = w.order.releaseTimeout
	}
	go func(incarnation uint64, attempt int, process Process, failed bool) {
		outlived, err := w.freeResources(ctx, process, grace, patience)
		var output []string
		if failed && process != nil {
			output = process.Tail()
		}
		w.send(released{incarnation, attempt, output, outlived, err})
	}(w.incarnation, w.attempt, w.process, w.failure != nil)
}

func (w *worker) freeResources(ctx context.Context, process Process, grace, patience time.Duration) ([]procscan.Ended, error) {
	var outlived []procscan.Ended
	if process != nil {
		var err error
		if outlived, err = process.EndGroup(ctx, grace); err != nil {
			return outlived, err
		}
	}
	if !w.opts.LeaveResources {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := w.opts.Ports.WaitFree(limited, w.opts.Host, w.port); err != nil {
			// The port is somebody else's matter: of the worker nothing is left.
			return outlived, errors.Join(w.heldPort(ctx, patience, err), w.opts.Registry.Remove(w.id))
		}
	}
	return outlived, w.opts.Registry.Remove(w.id)
}

// heldPort says who holds the worker's port.
func (w *worker) heldPort(ctx context.Context, after time.Duration, err error) error {
	return &CleanupTimeoutError{
		Worker: w.id, Port: w.port, After: after, Holder: w.opts.Ports.Holder(ctx, w.opts.Host, w.port), Err: err,
	}
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
	case w.purpose != toServe:
		w.noteStop(e.err)
		w.rest("released")
	case e.err != nil && w.begins():
		w.onHeld(e.err)
	case e.err != nil:
		w.onBlocked(e.err)
	case w.order != nil && !w.order.launched:
		w.order.released = time.Now()
		w.enterPending(w.order.cause)
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

// onBlocked waits for a port that somebody else holds, until it is free.
func (w *worker) onBlocked(err error) {
	w.message = err.Error()
	w.endOrder(err)
	if w.state == Blocked {
		w.publish() // the message
	} else {
		w.move(Blocked, w.message)
	}
	ctx := w.newContext()
	w.attempt++
	go func(incarnation uint64, attempt int) {
		for w.opts.Ports.WaitFree(ctx, w.opts.Host, w.port) != nil {
			select { // it is not that the port is in use: its address is gone, say, or descriptors are short
			case <-ctx.Done():
				return
			case <-time.After(recheck):
			}
		}
		w.send(released{incarnation: incarnation, attempt: attempt})
	}(w.incarnation, w.attempt)
}
