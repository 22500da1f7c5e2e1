package chaos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestResultKeepsTheFirstFailureOrTheSlowest(t *testing.T) {
	check := func(passed bool, took time.Duration, detail string) Check {
		return Check{Name: "gone", Passed: passed, Took: took, Detail: detail}
	}
	outcome := func(iteration int, c Check) Outcome {
		return Outcome{Iteration: iteration, Seed: uint64(6 + iteration), Passed: c.Passed, Checks: []Check{c}, Took: time.Second}
	}
	for name, tt := range map[string]struct {
		given    []Check
		want     string
		failures int
	}{
		"all held":   {[]Check{check(true, 2, "2"), check(true, 3, "3"), check(true, 1, "1")}, "3", 0},
		"one failed": {[]Check{check(true, 9, "9"), check(false, 1, "x"), check(true, 99, "99"), check(false, 999, "y")}, "iteration 2 (--seed 8): x", 2},
		"the first":  {[]Check{check(false, 1, "x"), check(true, 2, "2")}, "x", 1},
	} {
		var r Result
		for i, c := range tt.given {
			r.Add(outcome(i+1, c))
		}
		if diff := cmp.Diff(tt.want, r.Checks[0].Detail); diff != "" || r.Failures != tt.failures || len(r.Failed) != tt.failures {
			t.Errorf("%s: %d failures, want %d; (-want +got):\n%s", name, r.Failures, tt.failures, diff)
		}
		if r.Passed() != (tt.failures == 0) || r.Took() != time.Duration(len(tt.given))*time.Second {
			t.Errorf("%s: passed %v, took %v", name, r.Passed(), r.Took())
		}
	}
}

// Success is said only when something was checked, all of it held, and nothing was
// left out that could have been run.
func TestReportPassed(t *testing.T) {
	passed, failed := Result{Iterations: 2}, Result{Iterations: 2, Failures: 1}
	skipped, notRun := Result{Skipped: "not root"}, Result{}
	for name, tt := range map[string]struct {
		report Report
		want   bool
	}{
		"all passed":     {Report{Results: []Result{passed, passed}}, true},
		"one skipped":    {Report{Results: []Result{passed, skipped}}, true},
		"all skipped":    {Report{Results: []Result{skipped}}, false},
		"one failed":     {Report{Results: []Result{passed, failed}}, false},
		"one not run":    {Report{Results: []Result{passed, notRun}}, false},
		"nothing at all": {Report{}, false},
		"cut short":      {Report{Results: []Result{passed}, Cut: true}, false},
	} {
		if got := tt.report.Passed(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
