package pool

import (
	"context"
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
	defer p.calls.release(l)
	result, err := l.client.Execute(ctx, call, chunk)
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

// died says how the worker ended, if it did: a broken connection is noticed a
// little before the exit that broke it.
func (l *lease) died(err error) error {
	select {
	case <-l.process.Done():
		return fmt.Errorf("%w: %s, PID %d: %s", ErrWorkerDied, l.worker, l.process.ID().PID, l.process.Exit())
	case <-time.After(time.Second):
		return err
	}
}
