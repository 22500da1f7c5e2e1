package cmd

import (
	"slices"
	"testing"
	"time"

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
				took = append(took, milliseconds(began))
				if r.guard != nil {
					if err := r.guard.Wait(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(quantile(took, 0.50), "p50-ms")
			b.ReportMetric(quantile(took, 0.95), "p95-ms")
			if len(memory) > 0 {
				b.ReportMetric(median(memory), "guard-MB")
			}
			s.mustBeClean(b)
		})
	}
}

// quantile is the value that this share of the values does not exceed.
func quantile(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
