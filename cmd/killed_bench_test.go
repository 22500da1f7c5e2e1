package cmd

import (
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/bench"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// BenchmarkSupervisorKilled measures, of runs of four workers whose supervisor is
// killed: the time from SIGKILL to the end of the last worker, in milliseconds,
// with all layers and with each alone, and the resident memory of the guard.
//
//	go test ./cmd -run '^$' -bench SupervisorKilled -benchtime 50x
func BenchmarkSupervisorKilled(b *testing.B) {
	for _, layers := range []string{"lifeline,pdeathsig,guard", "lifeline", "pdeathsig", "guard"} {
		b.Run(layers, func(b *testing.B) {
			s := newCrashSandbox(b)
			id := newRunID(b)
			var took, memory []float64
			for range b.N {
				r := startCrashRun(b, s, id, layers, 4)
				if r.guard != nil {
					rss, _, err := procscan.Usage(r.guard.ID())
					if err != nil {
						b.Fatal(err)
					}
					memory = append(memory, float64(rss)/1e6)
				}
				began := time.Now()
				r.kill(b, r.supervisor)
				r.awaitWorkers(b)
				took = append(took, float64(time.Since(began).Microseconds())/1000)
				if r.guard != nil {
					if err := r.guard.Wait(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(bench.Median.Of(took), "p50-ms")
			b.ReportMetric(bench.P95.Of(took), "p95-ms")
			if len(memory) > 0 {
				b.ReportMetric(bench.Median.Of(memory), "guard-MB")
			}
			s.mustBeClean(b)
		})
	}
}
