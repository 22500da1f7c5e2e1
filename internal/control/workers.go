package control

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// Requests about single workers: restart them, stop them, keep more or fewer.

// keeper is what these requests need of a *pool.Pool.
type keeper interface {
	Name() string
	Status() []pool.Status
	Worker(id string) pool.Status
	Restart(context.Context, pool.RestartOptions) ([]pool.Restarted, error)
	Scale(context.Context, int) ([]pool.StopResult, error)
	StopWorkers(context.Context, []string, pool.StopOptions) ([]pool.StopResult, error)
}

func keepersOf(run Run) func() []keeper {
	return func() []keeper {
		var all []keeper
		for _, p := range run.Pools() {
			all = append(all, p)
		}
		return all
	}
}

// relay sends to the client what do tells, and drops it once the client has
// left: do itself is never held up.
func relay[Event any](stream grpc.ServerStreamingServer[Event], do func(tell func(*Event)) error) error {
	events := make(chan *Event)
	done := make(chan error, 1)
	go func() {
		defer close(events)
		done <- do(func(event *Event) { events <- event })
	}()
	var failed error
	for event := range events {
		if failed == nil {
			failed = stream.Send(event)
		}
	}
	if err := <-done; err != nil {
		return toStatus(err)
	}
	return failed
}

// Restart implements the protocol. Each pool keeps its own limit, so that all
// of them go at once.
func (s *Server) Restart(request *controlpb.RestartRequest, stream grpc.ServerStreamingServer[controlpb.WorkerRestarted]) error {
	shares, err := sharesOf(s.keepers(), request.Pool, request.Workers)
	if err != nil {
		return toStatus(err)
	}
	ctx := stream.Context()
	return relay(stream, func(tell func(*controlpb.WorkerRestarted)) error {
		var group errgroup.Group // without a context: the failure of one pool is none of the others
		for _, share := range shares {
			group.Go(func() error {
				_, err := share.Restart(ctx, pool.RestartOptions{
					Workers: share.workers, Rolling: max(1, int(request.Rolling)),
					Grace: request.Grace.AsDuration(), Force: request.Force, ReleaseTimeout: request.ReleaseTimeout.AsDuration(),
					Result: func(r pool.Restarted) { tell(restartedOf(r)) },
				})
				return err
			})
		}
		return group.Wait()
	})
}

// Scale implements the protocol. New workers that failed are in the summary;
// they stay.
func (s *Server) Scale(request *controlpb.ScaleRequest, stream grpc.ServerStreamingServer[controlpb.ScaleEvent]) error {
	p, err := choose(s.keepers(), request.Pool, "")
	if err != nil {
		return toStatus(err)
	}
	ctx := stream.Context()
	return relay(stream, func(tell func(*controlpb.ScaleEvent)) error {
		summary := &controlpb.ScaleSummary{Pool: p.Name(), Before: int32(len(p.Status()))}
		stopped, err := p.Scale(ctx, int(request.Workers))
		for _, r := range stopped {
			tell(&controlpb.ScaleEvent{Event: &controlpb.ScaleEvent_Worker{Worker: stoppedOf(r)}})
		}
		var start *pool.StartError
		if err != nil && !errors.As(err, &start) {
			return err
		}
		if start != nil {
			summary.Failures = failuresOf(start.Failures)
		}
		summary.Workers, summary.Ready = size(p)
		tell(&controlpb.ScaleEvent{Event: &controlpb.ScaleEvent_Summary{Summary: summary}})
		return nil
	})
}

// size is how many workers a pool has, and how many of them are ready.
func size(p keeper) (workers, ready int32) {
	for _, s := range p.Status() {
		workers++
		if s.State == pool.Ready {
			ready++
		}
	}
	return workers, ready
}

// StopWorkers implements the protocol. It goes on when the client leaves.
func (s *Server) StopWorkers(request *controlpb.StopWorkersRequest, stream grpc.ServerStreamingServer[controlpb.WorkerStopped]) error {
	if len(request.Workers) == 0 {
		return toStatus(fmt.Errorf("%w: none is named", pool.ErrNoWorker))
	}
	shares, err := sharesOf(s.keepers(), "", request.Workers)
	if err != nil {
		return toStatus(err)
	}
	ctx := context.WithoutCancel(stream.Context())
	return relay(stream, func(tell func(*controlpb.WorkerStopped)) error {
		var group errgroup.Group
		for _, share := range shares {
			group.Go(func() error {
				_, err := share.StopWorkers(ctx, share.workers, pool.StopOptions{
					Grace: request.Grace.AsDuration(), Force: request.Force,
					Result: func(r pool.StopResult) { tell(stoppedOf(r)) },
				})
				return err
			})
		}
		return group.Wait()
	})
}
