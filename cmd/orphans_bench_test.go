package cmd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// BenchmarkOrphans measures, in turn, the whole process of snakepit orphans and
// of pgrep -f, with so many sleeping processes more on the machine. It reports
// medians in milliseconds, and the median of the ratios. Build the binary first
// for the true start-up time: SNAKEPIT_BENCH_BINARY=bin/snakepit.
//
//	go test ./cmd -run '^$' -bench Orphans -benchtime 30x
func BenchmarkOrphans(b *testing.B) {
	if _, err := exec.LookPath("pgrep"); err != nil {
		b.Skip("there is no pgrep")
	}
	for _, n := range []int{200, 2000, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkOrphans(b, n) })
	}
}

func benchmarkOrphans(b *testing.B, n int) {
	s := newSandbox(b)
	if binary := os.Getenv("SNAKEPIT_BENCH_BINARY"); binary != "" {
		s.bin = binary
	}
	crowd(b, n)
	once := func(cmd *exec.Cmd, want int) float64 {
		began := time.Now()
		out, err := cmd.CombinedOutput()
		took := milliseconds(began)
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
			b.Fatalf("%s: %v: %s", cmd, err, out)
		}
		return took
	}
	const run = "no-such-run-of-the-benchmark"
	var ours, theirs, ratio []float64
	for range b.N {
		o := once(s.command("orphans", "--run-id", run, "--exit-code"), exitDone)
		t := once(exec.Command("pgrep", "-f", "--", "--snakepit-run-id nobody[-]has-this"), 1)
		ours, theirs, ratio = append(ours, o), append(theirs, t), append(ratio, o/t)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ours), "orphans-ms")
	b.ReportMetric(median(theirs), "pgrep-ms")
	b.ReportMetric(median(ratio), "ratio")
}

// crowd puts n sleeping processes on the machine until the benchmark ends. They
// are forked by one Python, which ends them when its standard input closes.
func crowd(b *testing.B, n int) {
	b.Helper()
	const forker = `
import os, signal, sys
children = []
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        os.close(0)
        os.close(1)
        while True:
            signal.pause()
    children.append(child)
print("ready", flush=True)
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
`
	cmd := exec.Command(managedPython(b), "-c", forker, strconv.Itoa(n))
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			b.Error(fmt.Errorf("the crowd did not leave: %w", err))
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		b.Fatalf("the crowd said %q: %v", line, err)
	}
}
