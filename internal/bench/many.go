package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Rows about a run of many workers. They share one.

// many is the run of many workers, which is started when the first row asks.
func (s *session) many(ctx context.Context, r *Result) (*run, error) {
	if s.shared == nil {
		if err := s.fit(ctx, r); err != nil {
			return nil, err
		}
		started, _, err := s.start(ctx, r.Count, s.method())
		if err != nil {
			return nil, err
		}
		s.shared = started
		select {
		case <-time.After(5 * time.Second): // what the start has left to do
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.Count = len(s.shared.workers)
	return s.shared, nil
}

// leaveMany stops the run of many workers: it would be in the way.
func (s *session) leaveMany(ctx context.Context) error {
	if s.shared == nil {
		return nil
	}
	_, err := s.shared.stop(ctx)
	s.shared = nil
	return err
}

// method is the program's best.
func (s *session) method() string {
	if runtime.GOOS == "linux" {
		return methodForkserver
	}
	return methodSpawn
}

// fit makes the number of workers one that this machine has memory for.
func (s *session) fit(ctx context.Context, r *Result) error {
	run, _, err := s.start(ctx, 2, s.method())
	if err != nil {
		return err
	}
	size, err := ownMemory(run.workers[1].PID)
	if err != nil {
		return err
	}
	if _, err := run.stop(ctx); err != nil {
		return err
	}
	wanted := r.Count
	if r.Count, err = fits(wanted, size); err != nil {
		return err
	}
	if r.Count < 1 {
		return &skip{fmt.Sprintf("a worker takes %s, and there is no memory for many", Amount(size/1e6, "MB"))}
	}
	if r.Count < wanted {
		r.note("not %d workers: each takes %s, and half of the free memory is left alone", wanted, Amount(size/1e6, "MB"))
	}
	return nil
}

func measureMemory(ctx context.Context, s *session, r *Result) error {
	run, err := s.many(ctx, r)
	if err != nil {
		return err
	}
	bytes, _, err := procscan.Usage(run.supervisor)
	if err != nil {
		return err
	}
	r.Ours = append(r.Ours, float64(bytes)/1e6)
	return nil
}

// idleLook is how long the supervisor is looked at: each worker is asked for its
// health once in that time.
const idleLook = 10 * time.Second

func measureIdle(ctx context.Context, s *session, r *Result) error {
	run, err := s.many(ctx, r)
	if err != nil {
		return err
	}
	return s.pairs(ctx, r, func(ctx context.Context) (float64, error) {
		before, err := processorTime(run.supervisor)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		select {
		case <-time.After(idleLook):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		after, err := processorTime(run.supervisor)
		return 100 * (after - before).Seconds() / time.Since(began).Seconds(), err
	}, nil)
}

func measureList(ctx context.Context, s *session, r *Result) error {
	run, err := s.many(ctx, r)
	if err != nil {
		return err
	}
	return s.pairs(ctx, r, func(ctx context.Context) (float64, error) {
		out, took, err := s.snakepit(ctx, "list", "--run-id", run.id, "-o", "json")
		if err == nil {
			err = run.read(out, r.Count)
		}
		return took, err
	}, nil)
}

func measureWorkerMemory(ctx context.Context, s *session, r *Result) error {
	mean := func(method string) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			run, _, err := s.start(ctx, r.Count, method)
			if err != nil {
				return 0, err
			}
			var sum float64
			for _, w := range run.workers {
				size, err := proportionalMemory(w.PID)
				if err != nil {
					return 0, err
				}
				sum += size / 1e6
			}
			_, err = run.stop(ctx)
			return sum / float64(len(run.workers)), err
		}
	}
	return s.pairs(ctx, r, mean(methodForkserver), mean(methodSpawn))
}
