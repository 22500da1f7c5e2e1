package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Options are what is measured, and how long.
type Options struct {
	Program string   // snakepit
	Env     []string // of the program and of the floor
	WorkDir string

	Python  string   // interpreter of the floor
	Flags   []string // of start, which say what the workers are
	Adapter string   // of the workers, as module:Class
	Module  string   // that the floor imports as well; empty: none
	Path    []string // from where

	Workers int    // of the rows that are about "the" pool
	Quick   bool   // few pairs, and fewer workers in the rows about many
	Check   bool   // measure a row again before it fails Result.Check
	Profile string // directory for profiles of supervisors, and of orphans; empty: none

	// Keep starts who cleans up the place if this process is killed. Every process that
	// it is to end has the mark in its environment. nil: nobody does.
	Keep func(place string) (mark string, dismiss func() error, err error)

	Watcher Watcher
}

// Watcher is told what happens, from one goroutine.
type Watcher interface {
	Began(row Row, count int)
	Pair(done, of int) // so many pairs of the row are measured
	Ended(result Result)
}

// Run measures the rows, one after the other. The error is that nothing could be
// measured at all, or that something was left behind.
func Run(ctx context.Context, rows []Row, o Options) (Report, error) {
	report := Report{Quick: o.Quick, Began: time.Now(), Adapter: o.Adapter, Machine: lookAtMachine()}
	s, err := newSession(o)
	if err != nil {
		return report, err
	}
	err = s.warm(ctx)
	for _, row := range rows {
		if err != nil || ctx.Err() != nil {
			break
		}
		result := s.row(ctx, row)
		if o.Check && !result.Check() && ctx.Err() == nil {
			result = better(result, s.row(ctx, row))
		}
		if ctx.Err() == nil {
			report.Results = append(report.Results, result)
			o.Watcher.Ended(result)
		}
	}
	report.Cut = ctx.Err() != nil
	if report.Cut {
		err = nil
	}
	err = errors.Join(err, s.close(ctx))
	report.Took = time.Since(report.Began)
	report.Machine.LoadAfter = loadNow()
	return report, err
}

// row measures one row.
func (s *session) row(ctx context.Context, row Row) Result {
	result := Result{Row: row, Count: row.count(s.opts)}
	if result.Skipped = s.lacks(row.needs); result.Skipped != "" {
		return result
	}
	s.opts.Watcher.Began(row, result.Count)
	var err error
	if !row.shares {
		err = s.leaveMany(ctx)
	}
	if err == nil {
		err = row.measure(ctx, s, &result)
	}
	var not *skip
	switch {
	case errors.As(err, &not):
		result.Skipped, result.Ours, result.Floor = not.reason, nil, nil
	case err != nil:
		result.Failed = err.Error()
	}
	if err != nil && ctx.Err() == nil {
		if left := s.endAll(ctx); left != nil { // it would run beside the next row
			result.Failed += "\n" + left.Error()
		}
	}
	return result
}

// better is the second of two results, unless that is no better for Check and the first
// was nearer to its limit.
func better(first, second Result) Result {
	if !second.Check() && first.Measured() && second.Measured() && first.Ratio() < second.Ratio() {
		second = first
	}
	second.Retried = true
	return second
}

// skip is the error of a measurement that is not possible here.
type skip struct{ reason string }

func (s *skip) Error() string { return s.reason }

// pairs measures ours and the floor in turn.
func (s *session) pairs(ctx context.Context, r *Result, ours, floor func(context.Context) (float64, error)) error {
	of := r.Row.pairs(s.opts)
	for i := range of {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a, err := ours(ctx)
		if err != nil {
			return err
		}
		r.Ours = append(r.Ours, a)
		if floor != nil {
			b, err := floor(ctx)
			if err != nil {
				return fmt.Errorf("the floor: %w", err)
			}
			r.Floor = append(r.Floor, b)
		}
		s.opts.Watcher.Pair(i+1, of)
	}
	return nil
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

func (r *Result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}
