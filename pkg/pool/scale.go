package pool

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

// Scale has the pool keep n workers, at least 1: it adds slots and waits until
// they are ready, or stops those with the highest numbers and returns how that
// went. The error is a *StartError when new workers failed (they stay, as
// failed), a *PortTakenError before anything was done, ErrStopping, or the
// context's: what was begun goes on.
func (p *Pool) Scale(ctx context.Context, n int) ([]StopResult, error) {
	if n < 1 {
		return nil, fmt.Errorf("cannot scale pool %q to %d workers: it takes at least 1", p.opts.Name, n)
	}
	if !p.started.Load() {
		return nil, fmt.Errorf("cannot scale pool %q: it has not started yet", p.opts.Name)
	}
	if !take(ctx, p.scaling) {
		return nil, fmt.Errorf("cannot scale pool %q: it is being scaled: %w", p.opts.Name, context.Cause(ctx))
	}
	now := len(p.all())
	if n < now {
		return p.shrink(ctx, n)
	}
	defer func() { <-p.scaling }()
	return nil, p.grow(ctx, n)
}

// grow adds workers, and waits for them.
func (p *Pool) grow(ctx context.Context, n int) error {
	before := p.all()
	if p.opts.BasePort != 0 {
		if err := portcheck.CheckRange(p.opts.BasePort, n); err != nil {
			return fmt.Errorf("cannot scale pool %q: %w", p.opts.Name, err)
		}
	}
	var added []*worker
	for i := len(before); i < n; i++ {
		added = append(added, newWorker(p, i))
	}
	if len(added) == 0 {
		return nil
	}
	if p.opts.Admit != nil {
		if err := p.opts.Admit(len(added)); err != nil {
			return fmt.Errorf("cannot scale pool %q: %w", p.opts.Name, err)
		}
	}
	if err := p.givePorts(ctx, added); err != nil {
		return err
	}
	if !p.append(added) {
		return ErrStopping
	}
	for {
		changed := p.changes()
		failures, settled := outcome(added)
		switch {
		case settled+len(failures) < len(added):
		case len(failures) > 0:
			return &StartError{Pool: p.opts.Name, Workers: n, Failures: failures}
		default:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("cannot see the new workers of pool %q become ready: %w", p.opts.Name, context.Cause(ctx))
		}
		if p.stopping.Load() {
			return ErrStopping
		}
	}
}

// append runs new workers, unless the pool is stopping: nobody would stop them.
func (p *Pool) append(added []*worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping.Load() {
		return false
	}
	p.workers = slices.Concat(p.workers, added)
	p.desired.Store(int64(len(p.workers)))
	for _, w := range added {
		go w.run()
	}
	return true
}

// shrink stops the workers from the n-th on. They are seen until they have ended.
func (p *Pool) shrink(ctx context.Context, n int) ([]StopResult, error) {
	p.desired.Store(int64(n))
	leaving := p.all()[n:]
	done := make(chan []StopResult, 1)
	go func() {
		defer func() { <-p.scaling }()
		results := each(leaving, func(w *worker) StopResult {
			return w.stopAndWait(stopRequest{grace: p.opts.Grace})
		})
		p.mu.Lock()
		p.workers = p.workers[:n:n]
		p.mu.Unlock()
		p.calls.changed()
		done <- results
	}()
	select {
	case results := <-done:
		return results, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot see workers of pool %q end: %w", p.opts.Name, context.Cause(ctx))
	}
}

// StopWorkers stops single workers, in parallel, and leaves their slots: they
// are restarted on request only. The error is ErrNoWorker for an unknown id,
// before anything is done.
func (p *Pool) StopWorkers(ctx context.Context, ids []string, o StopOptions) ([]StopResult, error) {
	workers, err := p.named(ids)
	if err != nil {
		return nil, err
	}
	grace := o.Grace
	if grace == 0 {
		grace = p.opts.Grace
	}
	var results []StopResult
	var mu sync.Mutex // guards results, and calls of o.Result
	each(workers, func(w *worker) struct{} {
		result := make(chan StopResult, 1)
		w.send(stopRequest{grace: grace, force: o.Force, rest: result})
		var r StopResult
		select {
		case r = <-result:
		case <-w.done: // the pool was stopped meanwhile
			r = w.stop
		case <-ctx.Done():
			return struct{}{}
		}
		mu.Lock()
		defer mu.Unlock()
		results = append(results, r)
		if o.Result != nil {
			o.Result(r)
		}
		return struct{}{}
	})
	if ctx.Err() != nil && len(results) < len(workers) {
		return results, fmt.Errorf("cannot see %d of %d workers end: %w", len(workers)-len(results), len(workers), context.Cause(ctx))
	}
	return results, nil
}

// each does the same with all workers, in parallel.
func each[R any](workers []*worker, do func(*worker) R) []R {
	results := make([]R, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() { results[i] = do(w) })
	}
	wg.Wait()
	return results
}

// outcome says how the start of workers went so far: who has failed, and how many
// are ready, or were told to stop.
func outcome(workers []*worker) (failures []Failure, settled int) {
	for _, w := range workers {
		s := w.status.Load()
		switch s.State {
		case Ready, Stopped:
			settled++
		case Failed:
			failures = append(failures, *s.Failure)
		}
	}
	return failures, settled
}
