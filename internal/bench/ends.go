package bench

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// How long it takes until nothing is left.

// hold holds the run's workers, whatever becomes of their PIDs.
func (r *run) hold() ([]*procscan.Handle, error) {
	var handles []*procscan.Handle
	for _, w := range r.workers {
		id, err := procscan.Lookup(w.PID)
		if err != nil {
			return handles, err
		}
		handle, err := procscan.Open(id)
		if err != nil {
			return handles, err
		}
		handles = append(handles, handle)
	}
	return handles, nil
}

func release(handles []*procscan.Handle) {
	for _, h := range handles {
		_ = h.Close() // nothing is written through it
	}
}

// gone waits for the end of all.
func gone(ctx context.Context, handles []*procscan.Handle) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, h := range handles {
		if err := h.Wait(ctx); err != nil {
			return fmt.Errorf("PID %d is still there: %w", h.ID().PID, err)
		}
	}
	return nil
}

// withWorkers starts a run, and does something with its workers.
func (s *session) withWorkers(ctx context.Context, n int, do func(*run, []*procscan.Handle) (float64, error)) (float64, error) {
	run, _, err := s.start(ctx, n, s.method())
	if err != nil {
		return 0, err
	}
	handles, err := run.hold()
	defer release(handles)
	if err != nil {
		return 0, err
	}
	return do(run, handles)
}

func measureKilled(ctx context.Context, s *session, r *Result) error {
	return s.pairs(ctx, r, func(ctx context.Context) (float64, error) {
		return s.withWorkers(ctx, r.Count, func(run *run, workers []*procscan.Handle) (float64, error) {
			supervisor, err := procscan.Open(run.supervisor)
			if err != nil {
				return 0, err
			}
			defer supervisor.Close()
			took, err := stopwatch(func() error {
				return errors.Join(supervisor.Signal(syscall.SIGKILL), gone(ctx, workers))
			})
			return took, errors.Join(err, run.end(ctx))
		})
	}, nil)
}

func measureStop(ctx context.Context, s *session, r *Result) error {
	return s.pairs(ctx, r, func(ctx context.Context) (float64, error) {
		return s.withWorkers(ctx, r.Count, func(run *run, workers []*procscan.Handle) (float64, error) {
			took, err := run.stop(ctx)
			for _, w := range workers {
				if left, _ := w.Gone(); !left {
					err = errors.Join(err, fmt.Errorf("stop is over, and PID %d is still there", w.ID().PID))
				}
			}
			return took, err
		})
	}, func(ctx context.Context) (float64, error) {
		return s.withWorkers(ctx, r.Count, func(run *run, workers []*procscan.Handle) (float64, error) {
			took, err := stopwatch(func() error {
				for _, w := range workers {
					if err := w.Signal(syscall.SIGTERM); err != nil {
						return err
					}
				}
				return gone(ctx, workers)
			})
			return took, errors.Join(err, run.end(ctx))
		})
	})
}

// stopwatch says how long something took, in milliseconds.
func stopwatch(do func() error) (float64, error) {
	began := time.Now()
	err := do()
	return milliseconds(began), err
}
