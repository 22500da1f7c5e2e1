package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Execute runs a tool on an idle ready worker, or on the one that is named,
// and returns its id and the tool's result as JSON. It waits for a worker to
// come free as long as the context allows; the context's deadline reaches the
// worker. With call.Stream, chunk gets every chunk as it comes.
//
// Errors: *ToolError when the tool failed; ErrStopping, ErrNoWorker,
// ErrNoneReady, ErrWorkerDied; the context's.
func (p *Pool) Execute(ctx context.Context, worker string, call Call, chunk func(json []byte) error) (string, []byte, error) {
	began := time.Now()
	who, result, err := p.execute(ctx, worker, call, chunk)
	p.opts.Calls.ObserveCall(Called{Pool: p.opts.Name, Worker: who, Took: time.Since(began), Err: err})
	return who, result, err
}

func (p *Pool) execute(ctx context.Context, worker string, call Call, chunk func(json []byte) error) (string, []byte, error) {
	l, err := p.calls.acquire(ctx, worker)
	if err != nil {
		return "", nil, err
	}
	result, err := l.client.Execute(ctx, call, chunk)
	p.calls.count(l.worker, err != nil)
	var failed *ToolError
	if err == nil || errors.As(err, &failed) {
		p.calls.release(l)
	} else {
		// The tool may run on, though nobody waits for it; or the worker may have
		// died, and nobody else is to find that out by a call of his own.
		go p.releaseWhenIdle(l, status.Code(err) == codes.Unavailable)
	}
	if err == nil {
		return l.worker, result, nil
	}
	if ctx.Err() != nil {
		return l.worker, nil, fmt.Errorf("%s did not finish: %w", l.worker, context.Cause(ctx))
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled:
		return l.worker, nil, l.died(err)
	}
	return l.worker, nil, err
}

// releaseWhenIdle gives a worker back once the tool that was left has ended. One
// that never ends keeps its worker, and no other call waits behind it.
func (p *Pool) releaseWhenIdle(l *lease, lost bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if lost && l.ended() {
		p.calls.release(l)
		return
	}
	go func() {
		defer cancel()
		select {
		case <-l.process.Done():
		case <-ctx.Done():
		}
	}()
	l.client.AwaitIdle(ctx)
	p.calls.release(l)
}

// died says how the worker ended, if it did: a broken connection is noticed a
// little before the exit that broke it.
func (l *lease) died(err error) error {
	if l.ended() {
		return fmt.Errorf("%w: %s, PID %d: %s", ErrWorkerDied, l.worker, l.process.ID().PID, l.process.Exit())
	}
	return err
}

// ended waits a moment for the end of a process whose connection broke.
func (l *lease) ended() bool {
	select {
	case <-l.process.Done():
		return true
	case <-time.After(time.Second):
		return false
	}
}
