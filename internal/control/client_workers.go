package control

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// Restart describes a restart of workers.
type Restart struct {
	Pool           string        // empty: every pool, or that of each worker
	Workers        []string      // empty: all
	Rolling        int           // how many of a pool may be out of service at once; 0: one
	Grace          time.Duration // 0: the run's own
	Force          bool
	ReleaseTimeout time.Duration // 0: the run's own
}

// Restart restarts workers; each is called as each restart ends, and gets the
// errors of pool.Restarted as they are there. The error is ErrNoWorker for a
// worker that there is not, before anything is done. When the context ends, no
// further worker is touched, those under way go on by themselves, and each is
// called for neither.
func (c *Client) Restart(ctx context.Context, r Restart, each func(pool.Restarted)) error {
	stream, err := c.api.Restart(ctx, &controlpb.RestartRequest{
		Pool: r.Pool, Workers: r.Workers, Rolling: int32(r.Rolling),
		Grace: given(r.Grace), Force: r.Force, ReleaseTimeout: given(r.ReleaseTimeout),
	})
	if err != nil {
		return fromStatus(err)
	}
	var ended error // the supervisor may see the end of the context first
	err = receive(stream, func(w *controlpb.WorkerRestarted) {
		r := restartedFrom(w)
		if errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, context.DeadlineExceeded) {
			ended = r.Err
			return
		}
		each(r)
	})
	if err == nil {
		return ended
	}
	return err
}

// Scale has a pool keep a number of workers and waits until they are ready, or
// the others have ended; each is called for those. The error is a
// *pool.StartError beside the summary when new workers failed; they stay. It is
// ErrWhichPool when no pool is named and there are several. When the context
// ends, what was begun goes on.
func (c *Client) Scale(ctx context.Context, name string, workers int, each func(*controlpb.WorkerStopped)) (*controlpb.ScaleSummary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.Scale(ctx, &controlpb.ScaleRequest{Pool: name, Workers: int32(workers)})
	if err != nil {
		return nil, fromStatus(err)
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return nil, lost(err)
		}
		if worker := event.GetWorker(); worker != nil {
			each(worker)
		}
		if summary := event.GetSummary(); summary != nil {
			return summary, startErrorFrom(summary)
		}
	}
}

func startErrorFrom(s *controlpb.ScaleSummary) error {
	if len(s.Failures) == 0 {
		return nil
	}
	return &pool.StartError{Pool: s.Pool, Workers: int(s.Workers), Failures: failuresFrom(s.Failures)}
}

// StopWorkers stops single workers, and leaves the others and the run alone;
// each is called as each worker ends. The error is ErrNoWorker for a worker that
// there is not, before anything is done.
func (c *Client) StopWorkers(ctx context.Context, workers []string, grace time.Duration, force bool, each func(*controlpb.WorkerStopped)) error {
	stream, err := c.api.StopWorkers(ctx, &controlpb.StopWorkersRequest{Workers: workers, Grace: given(grace), Force: force})
	if err != nil {
		return fromStatus(err)
	}
	return receive(stream, each)
}

// given is a duration that somebody has asked for; 0 leaves it to the run.
func given(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// receive reads a stream to its orderly end. A supervisor that dies does not
// send one.
func receive[Event any](stream grpc.ServerStreamingClient[Event], each func(*Event)) error {
	for {
		event, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fromStatus(err)
		}
		each(event)
	}
}
