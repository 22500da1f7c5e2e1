package cmd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adrg/xdg"

	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// BenchmarkStartStop measures, in turn, a run of eight workers and eight plain
// Python gRPC servers that are started together: from nothing to the last
// health RPC answered, and from the word to stop to the last exit. It reports
// medians in milliseconds, and the memory of the supervisor.
//
//	go test ./cmd -run '^$' -bench StartStop -benchtime 20x
func BenchmarkStartStop(b *testing.B) {
	s := newSandbox(b)
	python := managedPython(b)
	run := func(args ...string) []byte {
		out, err := s.command(args...).Output()
		if err != nil {
			b.Fatalf("snakepit %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	run("start", "-d", "--workers", "1", "--run-id", "warm") // makes what is made once
	run("stop")

	var ours, plain, ratio, stop, plainStop, memory []float64
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		out := run("start", "-d", "--workers", "8", "-o", "json", "--run-id", "bench")
		ours = append(ours, milliseconds(began))
		memory = append(memory, supervisorMemory(b, out))
		began = time.Now()
		run("stop", "--run-id", "bench")
		stop = append(stop, milliseconds(began))

		started, stopped := plainServers(b, python, 8)
		plain = append(plain, started)
		plainStop = append(plainStop, stopped)
		ratio = append(ratio, ours[len(ours)-1]/started)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ours), "start-ms")
	b.ReportMetric(median(plain), "plain-start-ms")
	b.ReportMetric(median(ratio), "start-ratio")
	b.ReportMetric(median(stop), "stop-ms")
	b.ReportMetric(median(plainStop), "plain-stop-ms")
	b.ReportMetric(median(memory), "supervisor-MB")
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func supervisorMemory(b *testing.B, list []byte) float64 {
	b.Helper()
	var document struct {
		Runs []struct{ Supervisor struct{ PID int } }
	}
	if err := json.Unmarshal(list, &document); err != nil {
		b.Fatal(err)
	}
	id, err := procscan.Lookup(document.Runs[0].Supervisor.PID)
	if err != nil {
		b.Fatal(err)
	}
	rss, _, err := procscan.Usage(id)
	if err != nil {
		b.Fatal(err)
	}
	return float64(rss) / 1e6
}

// managedPython is the interpreter that our own workers run in.
func managedPython(tb testing.TB) string {
	tb.Helper()
	env, err := pyenv.Resolve(tb.Context(), pyenv.Options{CacheDir: filepath.Join(xdg.CacheHome, "snakepit"), Path: os.Getenv("PATH")})
	if err != nil {
		tb.Fatal(err)
	}
	return env.Python
}

// plainServers starts n servers together, waits until each answers, and stops
// them together.
func plainServers(b *testing.B, python string, n int) (startMS, stopMS float64) {
	b.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	stops := make([]func(), n)
	for i := range n {
		wg.Go(func() {
			var err error
			if stops[i], err = plainServer(b, python); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	startMS = milliseconds(began)
	began = time.Now()
	for _, stop := range stops {
		if stop != nil {
			wg.Go(stop)
		}
	}
	wg.Wait()
	return startMS, milliseconds(began)
}

func plainServer(b *testing.B, python string) (stop func(), err error) {
	cmd := exec.Command(python, "../testdata/bench/plain_server.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return stop, fmt.Errorf("plain server: %w", err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return stop, err
	}
	client, err := pool.ConnectBridge("127.0.0.1", port)
	if err != nil {
		return stop, err
	}
	defer client.Close()
	return stop, client.Healthy(b.Context())
}
