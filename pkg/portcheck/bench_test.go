package portcheck

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"
)

func BenchmarkCheck(b *testing.B) {
	port := freePort(b, "127.0.0.1")
	for b.Loop() {
		if err := Check(context.Background(), "127.0.0.1", port); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWaitFreeAtOnce(b *testing.B) {
	port := freePort(b, "127.0.0.1")
	for b.Loop() {
		if err := WaitFree(context.Background(), "127.0.0.1", port); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOwners grows with the processes of the machine.
func BenchmarkOwners(b *testing.B) {
	_, said, _ := start(b, "listen", "127.0.0.1", 0, nil)
	port, _ := strconv.Atoi(said)
	for b.Loop() {
		if owners, err := Owners(b.Context(), "127.0.0.1", port); err != nil || len(owners) != 1 {
			b.Fatal(owners, err)
		}
	}
}

// BenchmarkWaitFreeNotices measures from when the holder of a port was reaped,
// after 300 ms of waiting, to when that is noticed; negative if it was noticed
// earlier.
func BenchmarkWaitFreeNotices(b *testing.B) {
	var late []time.Duration
	for b.Loop() {
		_, said, stop := start(b, "listen", "127.0.0.1", 0, nil)
		port, _ := strconv.Atoi(said)
		noticed := make(chan time.Time, 1)
		go func() {
			if err := WaitFree(b.Context(), "127.0.0.1", port); err != nil {
				b.Error(err)
			}
			noticed <- time.Now()
		}()
		time.Sleep(300*time.Millisecond + time.Duration(len(late)*7%100)*time.Millisecond)
		stop()
		reaped := time.Now()
		late = append(late, (<-noticed).Sub(reaped))
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(late[len(late)*95/100].Microseconds()), "p95-us")
	b.ReportMetric(float64(late[len(late)-1].Microseconds()), "max-us")
}
