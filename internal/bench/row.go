package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Row is one line of the table of limits.
type Row struct {
	Name  string
	What  string // is measured; {n} stands for the number of workers or processes
	Unit  string // of the values: ms, MB, %
	Floor string // what the floor is; empty: there is none
	Goal  Goal

	Count, QuickCount int  // workers or processes; 0: Options.Workers
	Pairs, QuickPairs int  // how often ours and the floor are measured
	Extra             bool // only measured when named

	needs   need
	shares  bool // the run of many workers
	measure func(context.Context, *session, *Result) error
}

// need is what a row cannot do without.
type need struct{ forkserver, linux bool }

// Goal is a limit. What is zero is no limit.
type Goal struct {
	By        Statistic // of the values, and of the floor's
	AtMost    float64   // in the row's unit, on a quiet machine with 2 cores
	PerWorker float64   // more for each worker
	Ratio     float64   // of ours to the floor's, on any machine
	Above     float64   // more than the floor, in the row's unit
}

// Statistic is which figure of a series counts.
type Statistic string

// The statistics that goals are about.
const (
	Median Statistic = "median"
	P95    Statistic = "p95"
)

// Absolute is the absolute limit for so many workers; 0: none.
func (g Goal) Absolute(workers int) float64 { return g.AtMost + g.PerWorker*float64(workers) }

// Of takes the figure out of a series.
func (s Statistic) Of(values []float64) float64 {
	if s == P95 {
		return Quantile(values, 0.95)
	}
	return median(values)
}

// median is the value in the middle, or between the two that are; NaN of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Quantile is the smallest value that at least this share of the values does not
// exceed; NaN of nothing.
func Quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// Select returns the rows named, in the order of the table, or all but the extra ones;
// and the first name that is none.
func Select(names []string) (rows []Row, unknown string) {
	all := Rows()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(r Row) bool { return r.Name == name }) {
			return nil, name
		}
	}
	for _, r := range all {
		if slices.Contains(names, r.Name) || len(names) == 0 && !r.Extra {
			rows = append(rows, r)
		}
	}
	return rows, ""
}

// count is how many workers or processes a row takes.
func (r Row) count(o Options) int {
	switch {
	case r.Count == 0:
		return o.Workers
	case o.Quick && r.QuickCount > 0:
		return r.QuickCount
	}
	return r.Count
}

func (r Row) pairs(o Options) int {
	if o.Quick {
		return r.QuickPairs
	}
	return r.Pairs
}

// Text says the limit for so many workers in words.
func (g Goal) Text(unit string, workers int) string {
	var text string
	if limit := g.Absolute(workers); limit > 0 {
		text = Amount(limit, unit)
	}
	switch {
	case g.Ratio > 0 && text != "":
		return fmt.Sprintf("%s, %g × the floor", text, g.Ratio)
	case g.Ratio > 0:
		return fmt.Sprintf("%g × the floor", g.Ratio)
	case g.Above > 0:
		return fmt.Sprintf("the floor + %s", Amount(g.Above, unit))
	}
	return text
}

// Amount writes a value with three digits that say something.
func Amount(value float64, unit string) string {
	switch {
	case math.IsNaN(value):
		return "–"
	case unit == "ms" && value >= 1000:
		return fmt.Sprintf("%.2f s", value/1000)
	case value >= 100:
		return fmt.Sprintf("%.0f %s", value, unit)
	case value >= 10 || unit == "MB":
		return fmt.Sprintf("%.1f %s", value, unit)
	}
	return fmt.Sprintf("%.2f %s", value, unit)
}
