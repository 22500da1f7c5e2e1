package chaos

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"time"
)

// Options are what the scenarios run, and how often.
type Options struct {
	Program string   // snakepit
	Env     []string // of the program
	WorkDir string   // of the program
	Pool    Pool

	Seed     uint64
	Rounds   int           // how often each scenario is run; at least 1
	Duration time.Duration // if set, rounds are begun until it is over, and Rounds is not looked at
	Timeout  time.Duration // for one iteration of one scenario
	// KeepGoing goes on after a failure; without it, nothing more is begun.
	KeepGoing bool
	// Again are the flags that a failure is met again with, beside its name and seed.
	Again   []string
	Watcher Watcher

	token string // begins the token of every stage
}

// Pool is the pool under test.
type Pool struct {
	Flags   []string // of start
	Python  []string // flags of start that choose an interpreter, for adapters of our own
	Workers int      // of all its pools

	Guard           string // what its guard does: kill, report or off
	FixedPorts      bool   // it has a base_port
	LeavesResources bool   // nobody waits for the port of a process that has ended
	Foreign         bool   // some of its workers are other programs than ours
	NoHealth        bool   // of a worker, nothing tells that it hangs
	NoRestarts      bool   // a worker is given up at its first crash
	NoPython        string // why an adapter cannot be run; empty: it can
}

// Watcher is told what happens, from one goroutine.
type Watcher interface {
	Began(s Scenario, round int)
	Doing(what string) // the step that begins, or the fault that was injected
	Checked(c Check)
	Ended(o Outcome)
}

// Run runs the scenarios, one after the other, in rounds. The seed of a round is
// Options.Seed plus the number of rounds before it, and each scenario takes its
// random numbers from that and its name alone: it meets the same faults whatever
// else runs, and whichever round it was found in. The error is that nothing could
// be run at all, an *UnusableError if that is due to the pool; what failed is in the
// report.
func Run(ctx context.Context, scenarios []Scenario, o Options) (Report, error) {
	report := Report{Seed: o.Seed, Again: o.Again, Began: time.Now()}
	for _, s := range scenarios {
		report.Results = append(report.Results, Result{Scenario: s})
	}
	// A short name: the path of a socket is limited.
	base, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return report, &PlaceError{err}
	}
	o.token = unique(tokenLength)
	dismiss, err := startKeeper(o.Program, o.Env, base, o.token)
	if err != nil {
		return report, errors.Join(err, os.RemoveAll(base))
	}
	more := func() bool {
		if o.Duration > 0 {
			return report.Rounds == 0 || time.Since(report.Began) < o.Duration
		}
		return report.Rounds < max(1, o.Rounds)
	}
	for more() && runRound(ctx, base, &report, o) {
	}
	report.Took = time.Since(report.Began)
	if err = os.RemoveAll(base); err != nil {
		err = fmt.Errorf("cannot remove the private place: %w", err)
	}
	if err = errors.Join(err, dismiss()); report.unusable != nil {
		return report, errors.Join(report.unusable, err)
	}
	return report, err
}

// PlaceError is that there is no room for runs of ours under the temp directory.
type PlaceError struct{ Err error }

func (e *PlaceError) Error() string { return fmt.Sprintf("cannot make a private place: %v", e.Err) }
func (e *PlaceError) Unwrap() error { return e.Err }

// runRound runs every scenario once. False: it failed, and that is the end.
func runRound(ctx context.Context, base string, report *Report, o Options) bool {
	report.Rounds++
	for i := range report.Results {
		result := &report.Results[i]
		if o.Duration > 0 && report.Rounds > 1 && time.Since(report.Began) >= o.Duration {
			return true
		}
		o.Watcher.Began(result.Scenario, report.Rounds)
		outcome := runOnce(ctx, base, result.Scenario, report.Rounds, o)
		o.Watcher.Ended(outcome)
		if outcome.unusable != nil && !report.ran() { // else it was usable before
			report.unusable = outcome.unusable
			result.Add(outcome)
			return false
		}
		if outcome.Cut {
			report.Cut, result.Cut = true, true
			if len(outcome.Failed()) > 0 { // it left something
				result.Add(outcome)
			}
			return false
		}
		result.Add(outcome)
		if outcome.Skipped == "" && !outcome.Passed && !o.KeepGoing {
			return false
		}
	}
	return true
}

// runOnce is one iteration of one scenario.
func runOnce(ctx context.Context, base string, s Scenario, round int, o Options) Outcome {
	seed := o.Seed + uint64(round-1)
	out := Outcome{Scenario: s.Name, Iteration: round, Seed: seed}
	if s.needs != nil {
		if out.Skipped = s.needs(o); out.Skipped != "" {
			return out
		}
	}
	began := time.Now()
	stage, err := newStage(base, s, seed, o)
	if err != nil {
		out.Checks = []Check{{Name: "a private place", Detail: err.Error()}}
		return out
	}
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	stage.play(limited, s.steps)
	out.Cut = ctx.Err() != nil
	if !out.Cut && limited.Err() != nil {
		stage.check(Check{Name: "time", Detail: fmt.Sprintf("not done after %v, the limit for a scenario", o.Timeout), Limit: o.Timeout, Took: time.Since(began)})
	}
	timeline, logs := stage.story() // while its files are there
	if out.Cut {
		stage.checks, stage.failed = nil, false // what a cut has done to it says nothing
	}
	stage.end(out.Cut)
	out.unusable = stage.unusable
	out.Skipped, out.Checks, out.Passed = stage.skipped, stage.checks, !stage.failed && !out.Cut && stage.skipped == ""
	if stage.failed {
		out.Timeline, out.Logs = timeline, logs
	}
	out.Took = time.Since(began)
	return out
}

// end takes the stage down. What had to be ended is a failure of a scenario that
// should have left nothing; what could not be, of any.
func (s *stage) end(cut bool) {
	s.suffix = ""
	ended, err := s.strike()
	switch {
	case err != nil:
		s.skipped = ""
		s.check(Check{Name: "cleanup", Detail: "this could not be cleaned up, and is left: " + err.Error()})
	case len(ended) > 0 && !cut && s.skipped == "" && !s.failed:
		s.check(Check{Name: "cleanup", Detail: "this had to be ended at the end: " + describe(ended)})
	}
}

// skip is the error of a step that finds that the scenario cannot run here.
type skip struct{ reason string }

func (s *skip) Error() string { return s.reason }

// errEnough is the error of a step that would only cover up what has failed.
var errEnough = errors.New("something has failed")

// play runs the steps until one cannot go on.
func (s *stage) play(ctx context.Context, steps []step) {
	err := s.startDecoys()
	for _, do := range steps {
		if err != nil || ctx.Err() != nil {
			break
		}
		err = do(ctx, s)
	}
	var not *skip
	switch {
	case ctx.Err() != nil, errors.Is(err, errEnough): // it is known why
	case errors.As(err, &not):
		s.skipped = not.reason
	case err != nil:
		errors.As(err, &s.unusable)
		s.check(Check{Name: "the scenario goes on", Detail: err.Error()})
	default:
		s.checkWhole()
		s.suffix = ""
		s.checkDecoys()
	}
}

// source makes the random numbers of a scenario.
func source(seed uint64, name string) *rand.Rand {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name)) // it never fails
	return rand.New(rand.NewPCG(seed, sum.Sum64()))
}
