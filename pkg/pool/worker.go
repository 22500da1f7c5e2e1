package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// purpose is what a slot is for.
type purpose int

const (
	toServe purpose = iota // to have a process that serves
	toRest                 // to be empty until it is restarted
	toEnd                  // nothing more
)

// worker is one slot. Everything below inbox belongs to the goroutine in run.
type worker struct {
	id      string
	index   int
	opts    Options
	pool    *Pool
	status  atomic.Pointer[Status] // a copy for others
	inbox   chan any
	telling atomic.Bool   // the observer is not through with the state in status
	turns   chan turnCame // not in the inbox: a turn that is left there is lost
	done    chan struct{} // closed when run has returned

	state       State
	purpose     purpose
	incarnation uint64
	port        int
	process     Process
	timers      map[timerKind]*time.Timer
	ctx         context.Context // of what runs for this incarnation
	cancel      context.CancelFunc
	client      Client    // while ready
	health      Health    // of this incarnation
	silentSince time.Time // zero: the last health RPC was answered
	recycling   string    // why it is to be replaced once its call has ended; "" when it is not
	readyAt     time.Time
	startedAt   time.Time
	restarts    int
	recent      []time.Time // of restarts, for the budget
	pause       *backoff.ExponentialBackOff
	grace       time.Duration
	deadline    time.Time // of the grace time, while stopping
	lastExit    string
	message     string
	failure     *Failure
	order       *order // the restart that was asked for; nil: none
	stop        StopResult
	stopAt      time.Time
	resting     []chan<- StopResult // who waits for the slot to be empty
	served      bool                // it was ready once
	turn        *pass               // while it is starting, of the pool's gate
	shortSince  time.Time           // the system would start no process for it since then; zero: it would
	attempt     int                 // at releasing, for this incarnation
	moves       int                 // to other ports, when a free one was taken meanwhile
}

func newWorker(p *Pool, index int) *worker {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = p.opts.BackoffMin
	pause.MaxInterval = p.opts.BackoffMax
	w := &worker{
		id: WorkerID(p.opts.Name, index), index: index, opts: p.opts, pool: p,
		inbox: make(chan any, 8), turns: make(chan turnCame), done: make(chan struct{}),
		state: Pending, timers: map[timerKind]*time.Timer{}, pause: pause, grace: p.opts.Grace, ctx: context.Background(), cancel: func() {},
	}
	w.publish()
	return w
}

// run owns the worker until it is stopped for good.
func (w *worker) run() {
	defer close(w.done)
	defer func() { w.cancel() }()
	w.enterPending("start")
	for w.state != Stopped || w.purpose != toEnd {
		select {
		case event := <-w.inbox:
			w.handle(event)
		case turn := <-w.turns:
			w.handle(turn)
		}
	}
}

// send hands an event to the worker; once the worker has ended it is dropped.
func (w *worker) send(event any) {
	select {
	case w.inbox <- event:
	case <-w.done:
	}
}

// handle is one event, one method. An event of another incarnation speaks of a
// process that is no longer in the slot.
func (w *worker) handle(event any) {
	switch e := event.(type) {
	case stopRequest:
		w.onStop(e)
	case restartRequest:
		w.onRestart(e)
	case turnCame:
		if w.current(e.incarnation, Pending) && !w.pool.stopping.Load() {
			w.onTurn(e.turn)
		} else {
			w.pool.gate.leave(e.turn, 0)
		}
	case becameReady:
		if w.current(e.incarnation, Starting) {
			w.onReady(e)
		}
	case notReady:
		if w.current(e.incarnation, Starting) {
			w.onNotReady(e.err)
		}
	case exited:
		if e.incarnation == w.incarnation {
			w.onExit()
		}
	case released:
		if e.attempt == w.attempt && (w.current(e.incarnation, Releasing) || w.current(e.incarnation, Blocked)) {
			w.onReleased(e)
		}
	case healthTold:
		if w.current(e.incarnation, Ready) {
			w.onHealth(e)
		}
	case recycleDue:
		if w.current(e.incarnation, Ready) {
			w.recycle(e.cause)
		}
	case timerRang:
		if e.incarnation == w.incarnation {
			w.onTimer(e.what)
		}
	}
}

func (w *worker) current(incarnation uint64, state State) bool {
	return incarnation == w.incarnation && w.state == state
}

func (w *worker) onTimer(what timerKind) {
	switch {
	case what == readyTimer && w.state == Starting:
		w.onReadyTimeout()
	case what == stacksTimer && w.state == Starting:
		w.fail(w.readyTimeout())
	case what == stacksTimer && w.state == Ready:
		w.end(w.opts.Grace, false, w.message)
	case what == healthTimer && w.state == Ready:
		w.askHealth(w.opts.HealthTimeout, false)
	case what == ttlTimer && w.state == Ready:
		w.recycle("ttl")
	case what == silentTimer && w.state == Starting:
		w.fail(errors.New("its ready channel closed, but it did not end"))
	case what == killTimer && w.state == Stopping:
		w.kill()
	case what == goneTimer && w.state == Stopping:
		w.onUnkillable()
	case what == backoffTimer && w.state == Backoff:
		w.enterPending("restart")
	}
}
