package chaos

import (
	"context"
	"slices"
)

// Scenario is one promise, and how it is put to the test.
type Scenario struct {
	Name, Suite string
	Assumes     string // the steady state, in a line
	Fault       string // what is done to it, in a line
	// Brings says what it runs in place of the pool that it was given; empty: it
	// runs that pool.
	Brings string

	needs func(Options) string // why it cannot run here; nil: it always can
	steps []step
}

// step is a part of a scenario. What holds or not it notes as checks; an error is
// that the scenario cannot go on.
type step func(context.Context, *stage) error

// The suites.
const (
	SuiteShutdown   = "shutdown"
	SuiteWorkers    = "workers"
	SuiteGuard      = "guard"
	SuiteNeighbours = "neighbours"
	SuiteAll        = "all"
)

// Suites are the names of the suites, in their order.
func Suites() []string {
	return []string{SuiteShutdown, SuiteWorkers, SuiteGuard, SuiteNeighbours, SuiteAll}
}

// Scenarios are all there are, suite by suite.
func Scenarios() []Scenario {
	return slices.Concat(shutdownSuite(), workersSuite(), guardSuite(), neighboursSuite())
}

// Select returns the scenarios that the names mean, of suites and of scenarios,
// each once, in the order of the names. unknown is the first name that means
// nothing.
func Select(names []string) (chosen []Scenario, unknown string) {
	for _, name := range names {
		known := false
		for _, s := range Scenarios() {
			if name != SuiteAll && name != s.Suite && name != s.Name {
				continue
			}
			known = true
			if !slices.ContainsFunc(chosen, func(c Scenario) bool { return c.Name == s.Name }) {
				chosen = append(chosen, s)
			}
		}
		if !known {
			return nil, name
		}
	}
	return chosen, ""
}

// needsGuard is for scenarios in which the guard has to end somebody.
func needsGuard(o Options) string {
	if o.Pool.Guard != "kill" {
		return "the settings have emergency_cleanup: " + o.Pool.Guard + ", and this needs a guard that kills"
	}
	return ""
}

// needsFreePorts is for scenarios with two runs.
func needsFreePorts(o Options) string {
	if o.Pool.FixedPorts {
		return "the settings have a base_port, which two runs would both want"
	}
	return ""
}

// needsWait is for scenarios about the release of a port.
func needsWait(o Options) string {
	if o.Pool.LeavesResources {
		return "the settings have resource_cleanup: off, so nobody waits for a port"
	}
	return ""
}

func needsAll(needs ...func(Options) string) func(Options) string {
	return func(o Options) string {
		for _, need := range needs {
			if reason := need(o); reason != "" {
				return reason
			}
		}
		return ""
	}
}
