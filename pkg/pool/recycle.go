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

// recycle replaces a process that is well but has had its share, between two of
// its calls, and one worker of the pool at a time: while another has its turn it
// serves on. A turn is taken only for the restart itself, so that nobody waits for
// a call that takes long.
func (w *worker) recycle(cause string) {
	if w.recycling != "" || w.order != nil {
		return
	}
	w.recycling = cause
	w.message = cause + ": it is replaced when its call has ended and its turn has come"
	w.publish()
	ctx, incarnation := w.ctx, w.incarnation
	go func() {
		for {
			select {
			case <-w.pool.calls.drain(w.id):
			case <-ctx.Done():
				return
			}
			select {
			case w.pool.rolling <- struct{}{}:
				w.restartAndWait(context.Background(), restartRequest{incarnation: incarnation, grace: w.opts.Grace, cause: cause})
				<-w.pool.rolling
				return
			default:
			}
			w.pool.calls.resume(w.id)
			if !take(ctx, w.pool.rolling) {
				return
			}
			<-w.pool.rolling
		}
	}()
}
