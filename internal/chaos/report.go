package chaos

import (
	"fmt"
	"slices"
	"time"
)

// Check is one thing that held, or did not.
type Check struct {
	Name   string
	Passed bool
	Detail string // in words, with the figure and its limit if there are any
	// Took and Limit are the figure, where it is a time; Limit is zero otherwise.
	Took, Limit time.Duration
}

// Moment is something that happened while a scenario ran.
type Moment struct {
	At     time.Time
	Source string // "fault", "command", "check", or the run whose event it is
	Text   string
}

// LogTail is the end of a log.
type LogTail struct {
	Name  string // run/worker
	Lines []string
}

// Outcome is how one iteration of a scenario went.
type Outcome struct {
	Scenario  string
	Iteration int    // from 1
	Seed      uint64 // that gives this iteration again, as the only one
	Passed    bool
	Skipped   string // why it did not run
	Cut       bool   // it was cut short by the end of the context, and proves nothing
	Took      time.Duration
	Checks    []Check
	unusable  *UnusableError // the pool could not be started, for its settings

	// Of an iteration that failed: what happened, and the ends of the logs.
	Timeline []Moment
	Logs     []LogTail
}

// Failed are the checks that did not hold.
func (o Outcome) Failed() []Check {
	return slices.DeleteFunc(slices.Clone(o.Checks), func(c Check) bool { return c.Passed })
}

// Result is how all iterations of a scenario went.
type Result struct {
	Scenario   Scenario
	Iterations int // that came to an end
	Failures   int
	Cut        bool   // one more was cut short
	Skipped    string // why there was none
	Times      []time.Duration
	Checks     []Check   // each by its name: the first that failed, or else the slowest
	Failed     []Outcome // the first few
}

// Passed says that it has run and that every check held each time.
func (r Result) Passed() bool { return r.Iterations > 0 && r.Failures == 0 && !r.Cut }

// Took is the time of all iterations.
func (r Result) Took() (sum time.Duration) {
	for _, took := range r.Times {
		sum += took
	}
	return sum
}

// Report is how everything went.
type Report struct {
	Seed    uint64
	Again   []string // as Options.Again
	Began   time.Time
	Took    time.Duration
	Rounds  int // how often every scenario was begun
	Cut     bool
	Results []Result

	unusable *UnusableError
}

// ran says that a scenario of the pool under test has come to its end.
func (r Report) ran() bool {
	return slices.ContainsFunc(r.Results, func(result Result) bool { return result.Iterations > 0 && result.Scenario.Brings == "" })
}

// Passed says that something was checked, that every check held, and that nothing
// was left out but what cannot run here.
func (r Report) Passed() bool {
	ran := false
	for _, result := range r.Results {
		if result.Failures > 0 || result.Iterations == 0 && result.Skipped == "" {
			return false
		}
		ran = ran || result.Iterations > 0
	}
	return ran && !r.Cut
}

// keepFailures is how many failures of a scenario are kept with their timeline.
const keepFailures = 3

// Add counts an outcome in.
func (r *Result) Add(o Outcome) {
	if o.Skipped != "" {
		r.Skipped = o.Skipped
		return
	}
	r.Iterations++
	r.Times = append(r.Times, o.Took)
	for _, c := range o.Checks {
		r.addCheck(c, o)
	}
	if o.Passed {
		return
	}
	r.Failures++
	if len(r.Failed) < keepFailures {
		r.Failed = append(r.Failed, o)
	}
}

func (r *Result) addCheck(c Check, o Outcome) {
	if !c.Passed && o.Iteration > 1 {
		c.Detail = fmt.Sprintf("iteration %d (--seed %d): %s", o.Iteration, o.Seed, c.Detail)
	}
	i := slices.IndexFunc(r.Checks, func(have Check) bool { return have.Name == c.Name })
	switch {
	case i < 0:
		r.Checks = append(r.Checks, c)
	case r.Checks[i].Passed && (!c.Passed || c.Took > r.Checks[i].Took):
		r.Checks[i] = c
	}
}
