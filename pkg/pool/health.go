package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Whether a worker that is ready still answers.

// recheck is the pause after a health RPC that failed at once, and the time that
// a worker has for the last one before it counts as hung: the supervisor itself
// may have been frozen, and a deadline passed that nobody missed.
const recheck = time.Second

// healthTurns is how many turns the workers of a pool are asked in during one
// interval. To ask each at a time of its own costs several times as much: a
// supervisor that sleeps is woken for every one (row idle of snakepit bench).
const healthTurns = 4

func (w *worker) watchHealth() {
	w.silentSince = time.Time{}
	w.awaitHealthTurn()
}

// awaitHealthTurn sets the timer to the worker's next turn.
func (w *worker) awaitHealthTurn() {
	interval := w.opts.HealthInterval
	if interval <= 0 {
		return
	}
	turn := interval * time.Duration(w.index%healthTurns) / healthTurns
	passed := (time.Since(w.pool.made) + interval - turn) % interval
	w.setTimer(healthTimer, interval-passed)
}

// askHealth sends one health RPC, and measures the process on the way. The last one
// decides.
func (w *worker) askHealth(patience time.Duration, last bool) {
	ctx, incarnation, client, process := w.ctx, w.incarnation, w.client, w.process
	asked := time.Now()
	go func() {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		health, err := askedHealth(limited, client)
		told := healthTold{incarnation: incarnation, asked: asked, last: last, health: health, err: err}
		if w.opts.MaxMemory > 0 {
			told.rss, _ = process.RSS() // one that has just ended takes none
		}
		w.send(told)
	}()
}

// askedHealth is one health RPC, and how long a good answer took.
func askedHealth(ctx context.Context, client Client) (Health, error) {
	asked := time.Now()
	if err := client.Healthy(ctx); err != nil {
		return Health{}, err
	}
	return Health{At: time.Now(), Took: time.Since(asked)}, nil
}

func (w *worker) onHealth(e healthTold) {
	if e.err == nil {
		w.silentSince, w.health = time.Time{}, e.health
		w.publish()
		if w.opts.MaxMemory > 0 && e.rss > w.opts.MaxMemory {
			w.recycle("max_memory")
		}
		w.awaitHealthTurn()
		return
	}
	if w.silentSince.IsZero() {
		w.silentSince = e.asked
	}
	left := w.opts.HealthTimeout - time.Since(w.silentSince)
	switch {
	case left > 0:
		w.setTimer(healthTimer, min(left, recheck))
	case !e.last:
		w.askHealth(recheck, true)
	default:
		w.onHung(e.err)
	}
}

// onHung ends a process that does not answer, once it has written to its log
// where it hangs.
func (w *worker) onHung(err error) {
	w.failure = w.newFailure(fmt.Errorf("%w: no answer to the health RPC for %v: %w", errHung, time.Since(w.silentSince).Round(time.Millisecond), err))
	w.message = w.failure.Reason
	w.pool.calls.remove(w.id)
	if err := w.process.DumpStacks(); err != nil {
		w.end(w.opts.Grace, false, w.message)
		return
	}
	w.publish()
	w.setTimer(stacksTimer, 200*time.Millisecond)
}

var errHung = errors.New("it hangs")
