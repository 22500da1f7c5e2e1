package pool

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// How a slot loses its process: asked to, or by force.

// onStop is legal in every state.
func (w *worker) onStop(r stopRequest) {
	first := w.purpose == toServe
	if first {
		w.stop, w.stopAt = StopResult{}, time.Now()
	}
	if r.rest == nil {
		w.purpose = toEnd
	} else {
		w.purpose = max(w.purpose, toRest)
		w.resting = append(w.resting, r.rest)
	}
	w.grace = r.grace
	w.endOrder(ErrStopped)
	switch w.state {
	case Starting, Ready:
		w.end(r.grace, r.force, "stop")
	case Stopping:
		if r.force || r.grace < 0 {
			w.kill()
		} else if first && r.grace < time.Until(w.deadline) {
			w.deadline = time.Now().Add(r.grace)
			w.setTimer(killTimer, r.grace)
		}
	case Releasing:
		if r.force {
			w.deadline = time.Now()
			w.release(true)
		}
	case Pending, Backoff, Blocked, Failed:
		w.cancel()
		w.stopTimers()
		if w.lives() {
			w.leave()
			return
		}
		w.process = nil
		w.stop.Exit = "no process"
		w.noteStop(w.opts.Registry.Remove(w.id))
		w.rest("stop")
	case Stopped:
		if !w.lives() {
			w.stop = StopResult{Worker: w.id, Exit: "no process"}
		}
		w.tellResting()
	}
}

// rest is the end of a stop.
func (w *worker) rest(reason string) {
	w.move(Stopped, reason)
	w.tellResting()
	w.pool.calls.changed()
}

func (w *worker) tellResting() {
	for _, waiter := range w.resting {
		waiter <- w.stop
	}
	w.resting = nil
}

// end begins the ladder: TERM to the group, KILL after the grace time.
func (w *worker) end(grace time.Duration, force bool, reason string) {
	w.pool.calls.remove(w.id)
	w.stopTimers()
	w.leaveGate(0)
	w.client, w.recycling = nil, ""
	w.move(Stopping, reason)
	w.deadline = time.Now().Add(grace)
	if force || grace < 0 {
		w.kill()
		return
	}
	w.signal(syscall.SIGTERM, "TERM")
	w.setTimer(killTimer, grace)
}

func (w *worker) kill() {
	w.deadline = time.Now()
	w.signal(syscall.SIGKILL, "KILL")
	w.setTimer(goneTimer, killWait)
}

// onUnkillable stops waiting for a process that KILL did not end: it is in the
// hands of the kernel (state D), or it is not ours to signal. Should it end
// after all, a worker that was not told to stop goes on from there.
func (w *worker) onUnkillable() {
	w.cancel()
	if w.purpose != toServe {
		w.leave()
		return
	}
	if w.failure == nil {
		w.failure = w.newFailure(w.unkillable())
	}
	w.giveUp(w.failure.Reason + "; " + w.unkillable().Error())
}

// leave ends the slot without its process, which lives, and so keeps its entry
// in the registry.
func (w *worker) leave() {
	w.stop.Exit = "not ended"
	w.stop.Survivors = append(w.stop.Survivors, Survivor{PID: w.pid(), What: w.id + ": " + w.unkillable().Error()})
	w.noteStop(w.unkillable())
	w.rest("left alone")
}

func (w *worker) unkillable() error {
	return fmt.Errorf("PID %d is still there %v after KILL", w.pid(), killWait)
}

// signal tolerates only that the process is gone already.
func (w *worker) signal(sig syscall.Signal, name string) {
	err := w.process.SignalGroup(sig)
	switch {
	case err == nil:
		w.stop.Signal = name
	case !errors.Is(err, procscan.ErrGone):
		w.message = fmt.Sprintf("cannot send %s to PID %d: %v", name, w.process.ID().PID, err)
		w.stop.Err = w.message
		w.publish()
	}
}
