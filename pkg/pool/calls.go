package pool

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// dispatcher hands each call to a ready worker that has none. Calls that find
// no such worker wait in the order in which they came.
type dispatcher struct {
	pool *Pool

	mu      sync.Mutex // guards all below; nothing waits under it
	leases  map[string]*lease
	queue   []*waiter
	counts  map[string]Calls // of each slot; Running is known by its lease
	stopped bool
}

// lease is one ready worker, taken by at most one call.
type lease struct {
	worker  string
	client  Client
	process Process
	busy    bool
	calls   int           // that have ended
	spent   func()        // called once, when it has had as many as it may; may be nil
	drained chan struct{} // not nil: it gets no further call; closed when it has none
}

// free says that a call may have it.
func (l *lease) free() bool {
	if l == nil || l.busy || l.drained != nil {
		return false
	}
	select {
	case <-l.process.Done(): // the worker withdraws it shortly
		return false
	default:
		return true
	}
}

type waiter struct {
	worker string // "": any
	got    chan *lease
	err    error // why nothing will come, once got is closed
}

func newDispatcher(p *Pool) *dispatcher {
	return &dispatcher{pool: p, leases: make(map[string]*lease), counts: make(map[string]Calls)}
}

// add offers a worker that has become ready. It calls spent after as many calls
// as a worker may have.
func (d *dispatcher) add(worker string, client Client, process Process, spent func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leases[worker] = &lease{worker: worker, client: client, process: process, spent: spent}
	d.match()
}

// drain gives a worker no further call. The channel is closed once it has none,
// at once when the worker was withdrawn before.
func (d *dispatcher) drain(worker string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.leases[worker]
	if l == nil {
		l = &lease{}
	}
	if l.drained == nil {
		l.drained = make(chan struct{})
		if !l.busy {
			close(l.drained)
		}
	}
	return l.drained
}

// resume is the end of a drain: the worker gets calls again.
func (d *dispatcher) resume(worker string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.leases[worker]; l != nil {
		l.drained = nil
		d.match()
	}
}

// remove withdraws a worker; the call that it runs goes on.
func (d *dispatcher) remove(worker string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.leases, worker)
}

// changed wakes those that wait for a worker which will not come any more.
func (d *dispatcher) changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = slices.DeleteFunc(d.queue, func(w *waiter) bool {
		if w.err = d.hopeless(w.worker); w.err != nil {
			close(w.got)
		}
		return w.err != nil
	})
}

// close turns away all who wait, and all who come.
func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	for _, w := range d.queue {
		w.err = ErrStopping
		close(w.got)
	}
	d.queue = nil
}

// acquire waits for an idle worker: any, or the one that is named.
func (d *dispatcher) acquire(ctx context.Context, worker string) (*lease, error) {
	w := &waiter{worker: worker, got: make(chan *lease, 1)}
	if err := d.join(w); err != nil {
		return nil, err
	}
	select {
	case l, ok := <-w.got:
		if !ok {
			return nil, w.err
		}
		return l, nil
	case <-ctx.Done():
		d.leave(w)
		return nil, fmt.Errorf("no worker came free: %w", context.Cause(ctx))
	}
}

func (d *dispatcher) join(w *waiter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return ErrStopping
	}
	if err := d.hopeless(w.worker); err != nil {
		return err
	}
	d.queue = append(d.queue, w)
	d.match()
	return nil
}

// leave takes back a wait, and a worker that was given to it meanwhile.
func (d *dispatcher) leave(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = slices.DeleteFunc(d.queue, func(other *waiter) bool { return other == w })
	select {
	case l, ok := <-w.got:
		if ok {
			l.busy = false
			if l.drained != nil {
				close(l.drained)
			}
			d.match()
		}
	default:
	}
}

// count is the end of a call; what becomes of its lease is another matter.
func (d *dispatcher) count(worker string, failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.counts[worker]
	c.Ended++
	if failed {
		c.Failed++
	}
	d.counts[worker] = c
}

// of are the calls of a slot.
func (d *dispatcher) of(worker string) Calls {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.counts[worker]
	if l := d.leases[worker]; l != nil && l.busy {
		c.Running = 1
	}
	return c
}

func (d *dispatcher) release(l *lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.busy = false
	l.calls++
	if l.calls == d.pool.opts.MaxCalls && l.spent != nil {
		go l.spent() // it may wait for the worker, which may wait for us
	}
	if l.drained != nil {
		close(l.drained)
	}
	d.match()
}

// match gives idle workers to those who wait. The caller holds mu.
func (d *dispatcher) match() {
	d.queue = slices.DeleteFunc(d.queue, func(w *waiter) bool {
		l := d.idle(w.worker)
		if l == nil {
			return false
		}
		l.busy = true
		w.got <- l
		return true
	})
}

// idle finds a worker without a call. The caller holds mu.
func (d *dispatcher) idle(worker string) *lease {
	if worker != "" {
		if l := d.leases[worker]; l.free() {
			return l
		}
		return nil
	}
	for _, w := range d.pool.all() {
		if l := d.leases[w.id]; l.free() {
			return l
		}
	}
	return nil
}

// hopeless says why no wait can help: no such worker, or none left alive.
func (d *dispatcher) hopeless(worker string) error {
	known, workers, last := false, d.pool.all(), Status{}
	for _, w := range workers {
		if worker != "" && w.id != worker {
			continue
		}
		known = true
		last = *w.status.Load()
		if last.State != Failed && last.State != Stopped {
			return nil
		}
	}
	if !known {
		return fmt.Errorf("%w: %q; pool %q has %s", ErrNoWorker, worker, d.pool.opts.Name, d.pool.idRange())
	}
	if worker != "" {
		return fmt.Errorf("%w: %s is %s: %s", ErrNoneReady, worker, last.State, last.Message)
	}
	return fmt.Errorf("%w: all %d have failed or are stopped", ErrNoneReady, len(workers))
}

func (p *Pool) idRange() string {
	workers := p.all()
	last := len(workers) - 1
	if last == 0 {
		return workers[0].id
	}
	return workers[0].id + " to " + workers[last].id
}

// Worker copies the state of one worker; the zero Status if there is none.
func (p *Pool) Worker(id string) Status {
	if w := p.find(id); w != nil {
		return p.statusOf(w)
	}
	return Status{}
}
