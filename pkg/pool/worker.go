package pool

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// purpose is what a worker goes on to once its resources are released.
type purpose int

const (
	toRestart purpose = iota // another process in the slot
	toStop                   // nothing more
)

// worker is one slot. Everything below inbox belongs to the goroutine in run.
type worker struct {
	id     string
	index  int
	opts   Options
	pool   *Pool
	status atomic.Pointer[Status] // a copy for others
	inbox  chan any
	done   chan struct{} // closed when run has returned

	state       State
	purpose     purpose
	incarnation uint64
	port        int
	process     Process
	timers      []*time.Timer
	cancel      context.CancelFunc // ends what runs for this incarnation
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
	stop        StopResult
	stopAt      time.Time
	slot        bool // holds one of the pool's launch slots
	attempt     int  // at releasing, for this incarnation
	moves       int  // to other ports, when a free one was taken meanwhile
}

func newWorker(p *Pool, index int) *worker {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = p.opts.BackoffMin
	pause.MaxInterval = p.opts.BackoffMax
	w := &worker{
		id: WorkerID(p.opts.Name, index), index: index, opts: p.opts, pool: p,
		inbox: make(chan any, 8), done: make(chan struct{}),
		state: Pending, pause: pause, grace: p.opts.Grace, cancel: func() {},
	}
	w.publish()
	return w
}

// run owns the worker until it is stopped for good.
func (w *worker) run() {
	defer close(w.done)
	w.enterPending("start")
	for w.state != Stopped {
		w.handle(<-w.inbox)
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
	case turnCame:
		if w.current(e.incarnation, Pending) && !w.pool.stopping.Load() {
			w.onTurn()
		} else {
			w.pool.releaseSlot()
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
	case timerRang:
		if e.incarnation == w.incarnation {
			w.onTimer(e.what)
		}
	}
}

func (w *worker) current(incarnation uint64, state State) bool {
	return incarnation == w.incarnation && w.state == state
}

// enterPending asks for a launch slot for the next incarnation.
func (w *worker) enterPending(reason string) {
	w.incarnation++
	w.process, w.failure = nil, nil
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

// onStop is legal in every state.
func (w *worker) onStop(r stopRequest) {
	first := w.purpose != toStop
	w.purpose = toStop
	w.grace = r.grace
	if w.stopAt.IsZero() {
		w.stopAt = time.Now()
	}
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
		w.move(Stopped, "stop")
	}
}

// end begins the ladder: TERM to the group, KILL after the grace time.
func (w *worker) end(grace time.Duration, force bool, reason string) {
	w.pool.calls.remove(w.id)
	w.stopTimers()
	w.dropSlot()
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
	if w.purpose == toStop {
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
	w.move(Stopped, "left alone")
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

func (w *worker) onTimer(what timerKind) {
	switch {
	case what == readyTimer && w.state == Starting:
		w.onReadyTimeout()
	case what == stacksTimer && w.state == Starting:
		w.fail(w.readyTimeout())
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
		left, err := w.freeResources(ctx, process, grace)
		var output []string
		if failed {
			output = process.Tail()
		}
		w.send(released{incarnation, attempt, output, left, err})
	}(w.incarnation, w.attempt, w.process, w.failure != nil)
}

func (w *worker) freeResources(ctx context.Context, process Process, grace time.Duration) ([]Survivor, error) {
	ended, err := process.EndGroup(ctx, grace)
	left := survivorsOf(ended, "in the group of "+w.id)
	if err != nil {
		return left, err
	}
	limited, cancel := context.WithTimeout(ctx, w.opts.ReleaseTimeout)
	defer cancel()
	if err := w.opts.Ports.WaitFree(limited, w.opts.Host, w.port); err != nil {
		return left, &CleanupTimeoutError{
			Worker: w.id, Port: w.port, After: w.opts.ReleaseTimeout,
			Holder: w.opts.Ports.Holder(ctx, w.opts.Host, w.port), Err: err,
		}
	}
	return left, w.opts.Registry.Remove(w.id)
}

// onReleased goes on to what the worker is for.
func (w *worker) onReleased(e released) {
	w.stop.Survivors = append(w.stop.Survivors, e.left...)
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

// maxMoves is how many times a first start may choose another free port.
const maxMoves = 5

// onStartFailure gives a worker up that never served while the pool starts;
// later the restart budget decides.
func (w *worker) onStartFailure() {
	if w.failure.Kind == "port_in_use" && w.opts.BasePort == 0 && !w.pool.started.Load() && w.moves < maxMoves {
		if ports, err := w.opts.Ports.Free(w.opts.Host, 1); err == nil {
			w.moves++
			w.port = ports[0]
			w.enterPending("port was taken, trying another")
			return
		}
	}
	if !w.pool.started.Load() {
		w.giveUp(w.failure.Reason)
		return
	}
	w.restart(w.failure.Reason)
}

// restart goes to backoff, or to failed once the budget is spent.
func (w *worker) restart(reason string) {
	now := time.Now()
	if !w.readyAt.IsZero() && now.Sub(w.readyAt) >= w.opts.QuietTime {
		w.pause.Reset()
	}
	w.recent = append(within(w.recent, now, w.opts.RestartWindow), now)
	if len(w.recent) > w.opts.MaxRestarts {
		w.giveUp(fmt.Sprintf("gave up after %d restarts within %v; last: %s", w.opts.MaxRestarts, w.opts.RestartWindow, reason))
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
