package pool

import (
	"context"
	"math/rand/v2"
)

// limitAge has a process be replaced when it is old, give or take a tenth: the
// workers of a pool, which become ready together, do not leave together.
func (w *worker) limitAge() {
	if ttl := w.opts.TTL; ttl > 0 {
		w.setTimer(ttlTimer, ttl*9/10+rand.N(ttl/5+1))
	}
}

// recycle replaces a process that is well but has had its share: one worker of
// the pool at a time, when its call has ended.
func (w *worker) recycle(cause string) {
	if w.recycling != "" || w.order != nil {
		return
	}
	w.recycling = cause
	w.message = cause + ": it is replaced when its turn has come and its call has ended"
	w.publish()
	ctx, incarnation := w.ctx, w.incarnation
	go func() {
		if !take(ctx, w.pool.rolling) {
			return
		}
		defer func() { <-w.pool.rolling }()
		select {
		case <-w.pool.calls.drain(w.id):
			w.restartAndWait(context.Background(), restartRequest{incarnation: incarnation, grace: w.opts.Grace, cause: cause})
		case <-ctx.Done():
		}
	}()
}
