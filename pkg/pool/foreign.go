package pool

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// NoCallsError: a call went to a program that serves, but not the calls of this
// package.
type NoCallsError struct {
	Worker string
	Err    error // UNIMPLEMENTED, in the program's own words
}

func (e *NoCallsError) Error() string {
	return fmt.Sprintf("worker %s does not serve snakepit's calls: it was started by --command", e.Worker)
}

func (e *NoCallsError) Unwrap() error { return e.Err }

// Connect is how to speak to this process, if its way of being ready decides that;
// nil leaves the choice to the pool.
func (c *child) Connect() Connect {
	if !c.how.foreign() {
		return nil
	}
	return func(host string, port int) (Client, error) {
		b, err := newBridge(host, port)
		if err != nil {
			return nil, err
		}
		healthy := b.Healthy
		switch c.how.By {
		case ReadyTCP:
			healthy = func(ctx context.Context) error {
				_, err := dial(ctx, host, port)
				return err
			}
		case ReadyLog:
			healthy = c.lives
		}
		return &foreign{bridge: b, worker: c.spec.Worker, healthy: healthy}, nil
	}
}

// lives is all that is known of a program that is asked nothing.
func (c *child) lives(context.Context) error {
	select {
	case <-c.done:
		return errors.New("it has ended")
	default:
		return nil
	}
}

// foreign is the Client of a program of another make. It may serve the workers'
// protocol or not; no connection is made before there is a call.
type foreign struct {
	*bridge
	worker  string
	healthy func(context.Context) error
}

func (f *foreign) Healthy(ctx context.Context) error { return f.healthy(ctx) }

func (f *foreign) Execute(ctx context.Context, call Call, chunk func([]byte) error) ([]byte, error) {
	result, err := f.bridge.Execute(ctx, call, chunk)
	if status.Code(err) == codes.Unimplemented {
		return nil, &NoCallsError{Worker: f.worker, Err: err}
	}
	return result, err
}
