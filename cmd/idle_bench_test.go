package cmd

import (
	"strconv"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// BenchmarkIdle measures the supervisor of a run that nobody uses: processor time,
// user and system, in percent of one core, and resident memory. It looks for 30
// seconds, times b.N. The kernel counts in hundredths of a second, which is 0.03 %
// of 30 seconds.
//
//	go test ./cmd -run '^$' -bench Idle -benchtime 1x
func BenchmarkIdle(b *testing.B) {
	for _, workers := range []int{8, 100} {
		b.Run("workers="+strconv.Itoa(workers), func(b *testing.B) { benchmarkIdle(b, workers) })
	}
}

func benchmarkIdle(b *testing.B, workers int) {
	s := newCrashSandbox(b)
	id := newRunID(b)
	out := s.mustRun(b, "", "start", "-d", "--workers", strconv.Itoa(workers), "--run-id", id, "-o", "json")
	list, err := parsePromised(out)
	if err != nil {
		b.Fatal(err)
	}
	supervisor := holdProcess(b, list.Runs[0].Supervisor.PID).ID()
	time.Sleep(5 * time.Second) // what the start has left to do

	began := time.Now()
	_, before := usageOf(b, supervisor)
	for range b.N {
		time.Sleep(30 * time.Second)
	}
	memory, after := usageOf(b, supervisor)
	took := time.Since(began)

	if ready := s.mustRun(b, "", "list", "--run-id", id, "-o", "json"); !hasReady(b, ready, workers) {
		b.Errorf("not all %d workers are ready: %s", workers, ready)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(100*(after-before)/took.Seconds(), "%-of-a-core")
	b.ReportMetric(memory, "supervisor-MB")
	s.mustRun(b, "", "stop", "--run-id", id)
	s.mustBeClean(b)
}

func usageOf(b *testing.B, id procscan.ID) (memoryMB, seconds float64) {
	b.Helper()
	rss, seconds, err := procscan.Usage(id)
	if err != nil {
		b.Fatal(err)
	}
	return float64(rss) / 1e6, seconds
}

// hasReady says whether a list of one run shows so many ready workers.
func hasReady(b *testing.B, out string, workers int) bool {
	b.Helper()
	list, err := parsePromised(out)
	if err != nil {
		b.Fatal(err)
	}
	return list.Runs[0].Pools[0].Ready == workers
}
