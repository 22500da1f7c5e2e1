package cmd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/bench"
)

// BenchmarkRow measures each row of snakepit bench, the extra ones too, with so many
// pairs of ours and the floor: the median and the 95th percentile of both, and the
// median of the pairs' ratios. SNAKEPIT_BENCH_BINARY measures another program than the
// test binary, which takes longer to start.
//
//	go test ./cmd -run '^$' -bench Row/restart$ -benchtime 200x
func BenchmarkRow(b *testing.B) {
	s := newSandbox(b)
	program := s.bin
	if binary := os.Getenv("SNAKEPIT_BENCH_BINARY"); binary != "" {
		var err error
		if program, err = filepath.Abs(binary); err != nil {
			b.Fatal(err)
		}
	}
	env := managedEnvironment(b)
	for _, row := range bench.Rows() {
		b.Run(row.Name, func(b *testing.B) {
			row.Pairs = b.N
			report, err := bench.Run(b.Context(), []bench.Row{row}, bench.Options{
				Program: program, Env: s.env, WorkDir: s.dir, Python: env.Python, Workers: benchWorkers,
				Path: []string{filepath.Dir(env.Entry)}, Watcher: unwatched{},
			})
			if err != nil {
				b.Fatal(err)
			}
			reportRow(b, report.Results[0])
		})
	}
}

func reportRow(b *testing.B, r bench.Result) {
	b.Helper()
	if r.Skipped != "" {
		b.Skip(r.Skipped)
	}
	if r.Failed != "" {
		b.Fatal(r.Failed)
	}
	unit := map[string]string{"ms": "ms", "MB": "MB", "%": "%-of-a-core"}[r.Row.Unit]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(bench.Median.Of(r.Ours), "p50-"+unit)
	b.ReportMetric(bench.P95.Of(r.Ours), "p95-"+unit)
	if len(r.Floor) > 0 {
		b.ReportMetric(bench.Median.Of(r.Floor), "floor-p50-"+unit)
		b.ReportMetric(bench.P95.Of(r.Floor), "floor-p95-"+unit)
		b.ReportMetric(r.Ratio(), "ratio")
	}
}

// unwatched is a bench.Watcher that nobody looks at.
type unwatched struct{}

func (unwatched) Began(bench.Row, int) {}
func (unwatched) Pair(int, int)        {}
func (unwatched) Ended(bench.Result)   {}
