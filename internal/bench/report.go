package bench

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Report is what a run of the bench came to.
type Report struct {
	Quick   bool
	Began   time.Time
	Took    time.Duration
	Machine Machine
	Adapter string
	Results []Result
	Cut     bool // interrupted: not all was measured
}

// Result is what was measured of one row.
type Result struct {
	Row   Row
	Count int // workers or processes
	Ours  []float64
	Floor []float64 // as many, each measured right after ours; nil: there is none
	Notes []string
	// Skipped is why nothing was measured, and Failed that it could not be.
	Skipped string
	Failed  string
	Retried bool // it was measured a second time, because the first was over Check's limit
}

// What is measured, in words.
func (r Result) What() string {
	return strings.ReplaceAll(r.Row.What, "{n}", thousands(r.Count))
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return thousands(n/1000) + "," + strconv.Itoa(1000 + n%1000)[1:]
}

// Measured says whether there are values.
func (r Result) Measured() bool { return len(r.Ours) > 0 && r.Failed == "" }

// Value is ours, by the statistic of the goal.
func (r Result) Value() float64 { return r.Row.Goal.By.Of(r.Ours) }

// FloorValue is the floor's, by the same; NaN without one.
func (r Result) FloorValue() float64 { return r.Row.Goal.By.Of(r.Floor) }

// Ratio is the median of the ratios, pair by pair; NaN without a floor.
func (r Result) Ratio() float64 {
	var ratios []float64
	for i := range min(len(r.Ours), len(r.Floor)) {
		ratios = append(ratios, r.Ours[i]/r.Floor[i])
	}
	return median(ratios)
}

// enoughForP95 is how many values it takes until a p95 is more than the largest.
const enoughForP95 = 20

// Judged is the ratio that the goal is about: of the p95s, where the goal is about
// these and there are enough, else the median of the pairs'.
func (r Result) Judged() float64 {
	if r.Row.Goal.By == P95 && len(r.Floor) >= enoughForP95 {
		return r.Value() / r.FloorValue()
	}
	return r.Ratio()
}

// Above is the median of what ours takes more than the floor, pair by pair; NaN without one.
func (r Result) Above() float64 {
	var more []float64
	for i := range min(len(r.Ours), len(r.Floor)) {
		more = append(more, r.Ours[i]-r.Floor[i])
	}
	return median(more)
}

// Verdict is whether a limit holds.
type Verdict string

// The verdicts. None: there is no such limit, or nothing was measured.
const (
	None   Verdict = ""
	Holds  Verdict = "holds"
	Misses Verdict = "misses"
)

func verdict(value, limit float64) Verdict {
	switch {
	case limit == 0 || math.IsNaN(value):
		return None
	case value <= limit:
		return Holds
	}
	return Misses
}

// Absolute is about the limit that is for a quiet machine with 2 cores.
func (r Result) Absolute() Verdict {
	if !r.Measured() {
		return None
	}
	if r.Row.Goal.Above > 0 {
		return verdict(r.Above(), r.Row.Goal.Above)
	}
	return verdict(r.Value(), r.Row.Goal.Absolute(r.Count))
}

// Relative is about the limit that is for any machine.
func (r Result) Relative() Verdict {
	if !r.Measured() {
		return None
	}
	return verdict(r.Judged(), r.Row.Goal.Ratio)
}

// Verdict is about all limits of the row.
func (r Result) Verdict() Verdict {
	switch {
	case r.Absolute() == Misses || r.Relative() == Misses:
		return Misses
	case r.Absolute() == Holds || r.Relative() == Holds:
		return Holds
	}
	return None
}

// grossly is how many times its limit a ratio may be before it is a regression and
// not noise.
const grossly = 2

// Check says whether the row is far worse than its limit, by the ratio alone: an
// absolute time says as much of the machine. A row that could not be measured is worse
// than any.
func (r Result) Check() bool {
	switch {
	case r.Failed != "":
		return false
	case r.Row.Goal.Ratio == 0 || !r.Measured():
		return true
	}
	// The best of the pairs is what the machine's other work disturbed least.
	return min(r.Ratio(), Quantile(r.Ours, 0)/Quantile(r.Floor, 0)) <= grossly*r.Row.Goal.Ratio
}

// Tally counts the rows by verdict.
func (r Report) Tally() (holds, misses, others int) {
	for _, result := range r.Results {
		switch result.Verdict() {
		case Holds:
			holds++
		case Misses:
			misses++
		default:
			others++
		}
	}
	return holds, misses, others
}

// Regressed are the rows that do not pass Check.
func (r Report) Regressed() (names []string) {
	for _, result := range r.Results {
		if !result.Check() {
			names = append(names, result.Row.Name)
		}
	}
	return names
}
