package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// RestartOptions say which workers are restarted, and how.
type RestartOptions struct {
	Workers []string // ids; empty: all of the pool
	// Rolling is how many of them may be out of service at once; 1. A worker that
	// served and cannot be restarted keeps its place: once Rolling have failed,
	// the rest is left alone and ErrNotTried.
	Rolling        int
	Grace          time.Duration   // from TERM to KILL; 0: the pool's own
	Force          bool            // KILL at once
	ReleaseTimeout time.Duration   // how long a port may take to come free; 0: the pool's own
	Result         func(Restarted) // called as each ends, never two at once
}

// Restarted is how the restart of one worker went.
type Restarted struct {
	Worker         string
	OldPID, NewPID int // 0: it had no process, it has none
	Port           int
	// From the request to the end of the old process, to its port being known
	// free, to the new one being ready; and all of it.
	Stop, Release, Start, Total time.Duration
	// Err is nil when the new process is ready. It is a *CleanupTimeoutError
	// when the port did not come free, a *NotRestartedError when the new process
	// did not become ready, ErrNotTried, ErrStopped, or the context's.
	Err error
}

// ErrNotTried: others could not be restarted, and one more out of service would
// be more than was allowed.
var ErrNotTried = errors.New("not tried")

// NotRestartedError is a process that did not become ready, or did not end.
type NotRestartedError struct{ Failure Failure }

func (e *NotRestartedError) Error() string { return e.Failure.Reason }

// Restart restarts workers in whatever state they are, each on its own port,
// and returns what became of each, in the order in which they ended. Workers
// that are not ready come first. Whoever restarts a worker that is being
// restarted waits for that restart and shares its result; whoever restarts
// several waits until no others are restarted in turn. When the context ends, no
// further worker is touched, and those under way go on by themselves.
//
// The error is ErrNoWorker for an unknown id, before anything is done.
func (p *Pool) Restart(ctx context.Context, o RestartOptions) ([]Restarted, error) {
	workers, err := p.named(o.Workers)
	if err != nil {
		return nil, err
	}
	if len(o.Workers) == 0 {
		workers = slices.Clone(p.all())
	}
	if len(workers) > 1 {
		if !take(ctx, p.rolling) {
			return nil, fmt.Errorf("cannot restart: others are being restarted in turn: %w", context.Cause(ctx))
		}
		defer func() { <-p.rolling }()
	}
	slices.SortStableFunc(workers, func(a, b *worker) int { return cmp.Compare(a.inService(), b.inService()) })
	return roll(ctx, workers, o), nil
}

// inService is 1 for a worker whose restart costs the pool something.
func (w *worker) inService() int {
	if w.status.Load().State == Ready {
		return 1
	}
	return 0
}

// named finds workers by their ids.
func (p *Pool) named(ids []string) ([]*worker, error) {
	var workers []*worker
	for _, id := range ids {
		w := p.find(id)
		if w == nil {
			return nil, fmt.Errorf("%w: %q; pool %q has %s", ErrNoWorker, id, p.opts.Name, p.idRange())
		}
		if !slices.Contains(workers, w) {
			workers = append(workers, w)
		}
	}
	return workers, nil
}

// roll restarts one worker after the other, as many at a time as allowed.
func roll(ctx context.Context, workers []*worker, o RestartOptions) []Restarted {
	request := restartRequest{grace: o.Grace, force: o.Force, releaseTimeout: o.ReleaseTimeout, cause: "request"}
	var results []Restarted
	tell := func(r Restarted) {
		results = append(results, r)
		if o.Result != nil {
			o.Result(r)
		}
	}
	ended := make(chan Restarted)
	running, lost := 0, 0
	served := map[string]bool{}
	for len(workers) > 0 || running > 0 {
		for len(workers) > 0 && running+lost < max(1, o.Rolling) && ctx.Err() == nil {
			w := workers[0]
			workers = workers[1:]
			served[w.id] = w.inService() > 0
			running++
			go func() { ended <- w.restartAndWait(ctx, request) }()
		}
		if running == 0 {
			break
		}
		r := <-ended
		running--
		if r.Err != nil && served[r.Worker] {
			lost++
		}
		tell(r)
	}
	for _, w := range workers {
		reason := ErrNotTried
		if ctx.Err() != nil {
			reason = fmt.Errorf("%w: %w", ErrNotTried, context.Cause(ctx))
		}
		tell(Restarted{Worker: w.id, Port: w.status.Load().Port, Err: reason})
	}
	return results
}

// restartAndWait asks the worker. When the context ends the restart goes on.
func (w *worker) restartAndWait(ctx context.Context, r restartRequest) Restarted {
	result := make(chan Restarted, 1)
	r.result = result
	if r.grace == 0 {
		r.grace = w.opts.Grace
	}
	w.send(r)
	select {
	case restarted := <-result:
		return restarted
	case <-w.done:
		return Restarted{Worker: w.id, Err: ErrStopped}
	case <-ctx.Done():
		return Restarted{
			Worker: w.id, Port: w.status.Load().Port,
			Err: fmt.Errorf("its restart goes on by itself: %w", context.Cause(ctx)),
		}
	}
}

// order is a restart that was asked for, from the request to its end.
type order struct {
	restartRequest
	asked, gone, released time.Time // gone and released: zero until then
	oldPID                int
	launched              bool
	waiters               []chan<- Restarted
}

// onRestart is legal in every state, but for the end.
func (w *worker) onRestart(r restartRequest) {
	if r.incarnation != 0 && !w.current(r.incarnation, Ready) || w.purpose == toEnd || w.purpose == toRest && w.state != Stopped {
		r.result <- Restarted{Worker: w.id, Port: w.port, Err: ErrStopped}
		return
	}
	if w.order != nil {
		w.order.waiters = append(w.order.waiters, r.result)
		if r.force && w.state == Stopping {
			w.kill()
		}
		return
	}
	w.order = &order{restartRequest: r, asked: time.Now(), waiters: []chan<- Restarted{r.result}}
	if w.lives() {
		w.order.oldPID = w.pid()
	}
	w.purpose, w.message = toServe, ""
	switch w.state {
	case Starting, Ready:
		w.end(r.grace, r.force, r.cause)
	case Stopping:
		if r.force {
			w.kill()
		}
	case Failed, Stopped:
		if w.lives() {
			w.endOrder(&NotRestartedError{*w.newFailure(w.unkillable())})
			return
		}
		w.recent, w.moves = nil, 0
		w.relaunch(r.cause)
	case Backoff:
		w.relaunch(r.cause)
	case Blocked:
		w.release(false)
	}
}

// relaunch goes on without a process that would have to end first.
func (w *worker) relaunch(cause string) {
	w.pause.Reset()
	w.enterPending(cause)
}

// endOrder tells those who wait how their restart went.
func (w *worker) endOrder(err error) {
	if w.order == nil {
		return
	}
	o, now := w.order, time.Now()
	w.order = nil
	r := Restarted{Worker: w.id, OldPID: o.oldPID, Port: w.port, Total: now.Sub(o.asked), Err: err}
	reached := o.asked
	for _, phase := range []struct {
		over bool
		end  time.Time
		took *time.Duration
	}{
		{o.launched || !o.released.IsZero() || !o.gone.IsZero() || o.oldPID == 0, o.gone, &r.Stop},
		{o.launched || !o.released.IsZero(), o.released, &r.Release},
		{false, now, &r.Start},
	} {
		if !phase.over { // the one in which it ended
			*phase.took = now.Sub(reached)
			break
		}
		if !phase.end.IsZero() {
			*phase.took = phase.end.Sub(reached)
			reached = phase.end
		}
	}
	if err == nil {
		r.NewPID = w.pid()
	}
	for _, waiter := range o.waiters {
		waiter <- r
	}
}
