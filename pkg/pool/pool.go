package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Pool is a named set of identical workers.
type Pool struct {
	opts     Options
	made     time.Time // from here on the turns of health RPCs are counted
	calls    *dispatcher
	gate     *Gate         // where workers wait for their launch
	rolling  chan struct{} // one value while workers are taken out of service in turn
	scaling  chan struct{} // one value while the pool is made larger or smaller
	begun    atomic.Bool   // Start was called, or Stop before it: workers run only once
	started  atomic.Bool   // every worker has been ready once
	stopping atomic.Bool   // nothing is launched any more
	desired  atomic.Int64  // how many workers there are to be

	mu      sync.Mutex    // guards all below; nothing waits under it
	note    chan struct{} // closed and replaced at every change of state
	workers []*worker     // replaced, never changed
}

// New makes a pool; nothing runs yet.
func New(opts Options) (*Pool, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pool{
		opts: opts, made: time.Now(), gate: opts.Gate,
		rolling: make(chan struct{}, 1), scaling: make(chan struct{}, 1), note: make(chan struct{}),
	}
	p.desired.Store(int64(opts.Workers))
	p.calls = newDispatcher(p)
	for i := range opts.Workers {
		p.workers = append(p.workers, newWorker(p, i))
	}
	return p, nil
}

// Name is the pool's name.
func (p *Pool) Name() string { return p.opts.Name }

// Start launches every worker and returns once all are ready. Any error means
// that the pool did not start: *PortTakenError before anything was launched,
// *StartError when workers failed, ErrStopping when Stop was called meanwhile,
// or the context's. Stop must follow.
func (p *Pool) Start(ctx context.Context) error {
	if !p.begun.CompareAndSwap(false, true) {
		return fmt.Errorf("cannot start pool %q: it was started or stopped before", p.opts.Name)
	}
	if err := p.choosePorts(ctx); err != nil {
		p.abandon()
		return err
	}
	for _, w := range p.all() {
		go w.run()
	}
	for {
		changed := p.changes()
		failures, settled := outcome(p.all())
		switch {
		case len(failures) > 0:
			return p.startError(changed)
		case p.stopping.Load() && ctx.Err() == nil: // then those that have settled were stopped
			return fmt.Errorf("cannot start pool %q: %w", p.opts.Name, ErrStopping)
		case settled == p.opts.Workers && !slices.ContainsFunc(p.all(), (*worker).isTelling):
			p.started.Store(true)
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("cannot start pool %q: %w", p.opts.Name, context.Cause(ctx))
		}
	}
}

// settleTime is how long a start that has failed waits for the workers that are
// starting as well: they often fail for the same reason, and are to be named.
const settleTime = 500 * time.Millisecond

// startError launches nothing more, and collects who failed.
func (p *Pool) startError(changed <-chan struct{}) error {
	p.stopping.Store(true)
	limit := time.After(settleTime)
	for p.starting() {
		select {
		case <-changed:
			changed = p.changes()
			continue
		case <-limit:
		}
		break
	}
	failures, _ := outcome(p.all())
	return &StartError{Pool: p.opts.Name, Workers: p.opts.Workers, Failures: failures}
}

// starting says whether any worker is between its launch and its verdict.
func (p *Pool) starting() bool {
	for _, s := range p.Status() {
		switch s.State {
		case Starting, Stopping, Releasing:
			return true
		}
	}
	return false
}

// abandon marks workers as stopped that were never run.
func (p *Pool) abandon() {
	for _, w := range p.all() {
		w.state = Stopped
		w.stop = StopResult{Worker: w.id, Exit: "no process"}
		w.publish()
		close(w.done)
	}
}

// choosePorts gives every worker its port for life.
func (p *Pool) choosePorts(ctx context.Context) error {
	return p.givePorts(ctx, p.all())
}

// givePorts chooses the ports of workers that do not run yet.
func (p *Pool) givePorts(ctx context.Context, workers []*worker) error {
	ports := make([]int, len(workers))
	if p.opts.BasePort == 0 {
		free, err := p.opts.Ports.Free(p.opts.Host, len(workers))
		if err != nil {
			return fmt.Errorf("cannot start pool %q: %w", p.opts.Name, err)
		}
		ports = free
	}
	var taken []TakenPort
	for i, w := range workers {
		w.port = ports[i]
		if p.opts.BasePort == 0 {
			continue
		}
		w.port = p.opts.BasePort + w.index
		if err := p.opts.Ports.Check(ctx, p.opts.Host, w.port); err != nil {
			taken = append(taken, TakenPort{Port: w.port, Holder: p.opts.Ports.Holder(ctx, p.opts.Host, w.port), Err: err})
		}
	}
	if len(taken) > 0 {
		return &PortTakenError{Pool: p.opts.Name, Ports: taken}
	}
	return nil
}

// Status copies the state of every worker, in the order of their ids.
func (p *Pool) Status() []Status {
	workers := p.all()
	all := make([]Status, len(workers))
	for i, w := range workers {
		all[i] = p.statusOf(w)
	}
	return all
}

func (p *Pool) statusOf(w *worker) Status {
	status := *w.status.Load()
	status.Calls = p.calls.of(w.id)
	return status
}

// Desired is how many workers the pool is to have.
func (p *Pool) Desired() int { return int(p.desired.Load()) }

// all are the pool's workers, in the order of their ids.
func (p *Pool) all() []*worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.workers
}

// find returns nil when there is no worker of that id.
func (p *Pool) find(id string) *worker {
	for _, w := range p.all() {
		if w.id == id {
			return w
		}
	}
	return nil
}

// StopOptions say how a pool is to be stopped.
type StopOptions struct {
	Grace  time.Duration // from TERM to KILL; 0: the pool's own
	Force  bool          // KILL at once
	Result func(StopResult)
}

// Stop refuses new calls, ends every worker in parallel, and returns once all
// are stopped. Calling it again while it runs, with Force, skips the grace time. A
// process that lives on after KILL is waited for no longer than 5 s, and is a
// survivor in the result.
func (p *Pool) Stop(o StopOptions) []StopResult {
	workers := p.closeDown()
	p.calls.close()
	if p.begun.CompareAndSwap(false, true) {
		p.abandon()
	}
	grace := o.Grace
	if grace == 0 {
		grace = p.opts.Grace
	}
	var prepared sync.WaitGroup
	defer prepared.Wait()
	if preparer, can := p.opts.Launcher.(Preparer); can {
		prepared.Go(func() { preparer.Retire(p.opts.Name, grace, o.Force || grace < 0) })
	}
	return each(workers, func(w *worker) StopResult {
		r := w.stopAndWait(stopRequest{grace: grace, force: o.Force})
		if o.Result != nil {
			o.Result(r)
		}
		return r
	})
}

// prepareNext has the launcher prepare for the launch after this one, once nobody is
// being launched who would have to share the CPU with it.
func (p *Pool) prepareNext(spec Spec) {
	preparer, can := p.opts.Launcher.(Preparer)
	if !can || p.gate.busy() || p.stopping.Load() {
		return
	}
	if !slices.ContainsFunc(p.all(), (*worker).isBeingLaunched) {
		preparer.Prepare(spec)
	}
}

// closeDown has nothing be launched any more, and no worker be added.
func (p *Pool) closeDown() []*worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping.Store(true)
	return p.workers
}

func (w *worker) stopAndWait(r stopRequest) StopResult {
	w.send(r)
	<-w.done
	return w.stop
}

// noteStop completes the account of a stop.
func (w *worker) noteStop(err error) {
	w.stop.Worker = w.id
	w.stop.PID = w.pid()
	w.stop.Took = time.Since(w.stopAt)
	if err == nil {
		return
	}
	w.message = err.Error()
	var held *CleanupTimeoutError
	if errors.As(err, &held) {
		w.stop.Survivors = append(w.stop.Survivors, Survivor{What: w.message})
		return
	}
	w.stop.Err = w.message
}

// changes returns a channel that is closed at the next change of any worker.
func (p *Pool) changes() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.note
}

func (p *Pool) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.note)
	p.note = make(chan struct{})
}

// take waits for a place in a channel of places; its holder takes it out again.
func take(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
