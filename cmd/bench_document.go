package cmd

import (
	"math"
	"time"

	"github.com/snakepit-dev/snakepit/internal/bench"
)

// benchDocument is what bench -o json prints (schema_version 1).
type benchDocument struct {
	SchemaVersion int          `json:"schema_version"`
	StartedAt     time.Time    `json:"started_at"`
	DurationMS    float64      `json:"duration_ms"`
	Quick         bool         `json:"quick"`
	Cut           bool         `json:"cut,omitempty"` // interrupted: not all rows are there
	Adapter       string       `json:"adapter"`
	Machine       benchMachine `json:"machine"`
	Rows          []benchRow   `json:"rows"`
}

type benchMachine struct {
	OS          string  `json:"os"`
	Arch        string  `json:"arch"`
	Processor   string  `json:"processor"`
	CPUs        int     `json:"cpus"`
	MemoryBytes uint64  `json:"memory_bytes"`
	LoadBefore  float64 `json:"load_before"`
	LoadAfter   float64 `json:"load_after"`
	Quiet       bool    `json:"quiet"`
}

type benchRow struct {
	Name    string       `json:"name"`
	What    string       `json:"what"`
	Unit    string       `json:"unit"`
	Count   int          `json:"count"` // workers or processes
	Ours    *benchSeries `json:"ours"`  // null: not measured
	Floor   *benchSeries `json:"floor"` // null: there is none
	Ratio   *float64     `json:"ratio"` // the median of the pairs'
	Goal    benchGoal    `json:"goal"`
	Verdict string       `json:"verdict"` // holds, misses, or "" for neither
	Check   bool         `json:"check"`   // false: a gross regression
	Retried bool         `json:"retried,omitempty"`
	Skipped string       `json:"skipped,omitempty"`
	Failed  string       `json:"failed,omitempty"`
	Notes   []string     `json:"notes"`
}

type benchSeries struct {
	Median float64   `json:"median"`
	P95    float64   `json:"p95"`
	Values []float64 `json:"values"`
}

// benchGoal is a limit; a part of it that there is not is null.
type benchGoal struct {
	By       string   `json:"by"`
	AtMost   *float64 `json:"at_most"`
	Ratio    *float64 `json:"ratio"`
	Above    *float64 `json:"above_floor"`
	Absolute string   `json:"absolute"` // the verdicts on the two sorts of limits
	Relative string   `json:"relative"`
}

func benchDocumentOf(report bench.Report) benchDocument {
	m := report.Machine
	d := benchDocument{
		SchemaVersion: 1, StartedAt: report.Began, DurationMS: millis(report.Took), Quick: report.Quick, Cut: report.Cut, Adapter: report.Adapter,
		Machine: benchMachine{m.OS, m.Arch, m.Processor, m.CPUs, m.MemoryBytes, m.LoadBefore, m.LoadAfter, m.Quiet()},
		Rows:    []benchRow{},
	}
	for _, r := range report.Results {
		d.Rows = append(d.Rows, benchRow{
			Name: r.Row.Name, What: r.What(), Unit: r.Row.Unit, Count: r.Count,
			Ours: seriesOf(r.Ours), Floor: seriesOf(r.Floor), Ratio: known(r.Ratio()),
			Goal: benchGoal{
				By: string(r.Row.Goal.By), AtMost: some(r.Row.Goal.Absolute(r.Count)), Ratio: some(r.Row.Goal.Ratio),
				Above: some(r.Row.Goal.Above), Absolute: string(r.Absolute()), Relative: string(r.Relative()),
			},
			Verdict: string(r.Verdict()), Check: r.Check(), Retried: r.Retried, Skipped: r.Skipped, Failed: r.Failed,
			Notes: append([]string{}, r.Notes...),
		})
	}
	return d
}

func seriesOf(values []float64) *benchSeries {
	if len(values) == 0 {
		return nil
	}
	return &benchSeries{bench.Median.Of(values), bench.P95.Of(values), values}
}

// known is a number, or nothing: JSON has no NaN.
func known(value float64) *float64 {
	if math.IsNaN(value) {
		return nil
	}
	return &value
}

// some is a limit, or nothing.
func some(limit float64) *float64 {
	if limit == 0 {
		return nil
	}
	return &limit
}

type benchListing struct {
	SchemaVersion int               `json:"schema_version"`
	Rows          []benchListingRow `json:"rows"`
}

type benchListingRow struct {
	Name  string `json:"name"`
	What  string `json:"what"`
	Floor string `json:"floor"`
	Goal  string `json:"goal"`
	Extra bool   `json:"extra"`
}

func benchListOf(rows []bench.Row) benchListing {
	d := benchListing{SchemaVersion: 1}
	for _, r := range rows {
		of := typical(r)
		d.Rows = append(d.Rows, benchListingRow{r.Name, of.What(), r.Floor, r.Goal.Text(r.Unit, of.Count), r.Extra})
	}
	return d
}

// typical is a row with the number of workers that its limit is about.
func typical(r bench.Row) bench.Result {
	if r.Count == 0 {
		r.Count = benchWorkers
	}
	return bench.Result{Row: r, Count: r.Count}
}
