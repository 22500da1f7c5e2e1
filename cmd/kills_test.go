package cmd

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// killsVariable says how often TestKilledAnywhere kills a supervisor.
const killsVariable = "SNAKEPIT_TEST_KILLS"

func kills(t *testing.T) int {
	text := os.Getenv(killsVariable)
	if text == "" {
		return 12
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", killsVariable, err)
	}
	return n
}

// A supervisor is killed at any moment of its start and of its stop, with all
// layers and with none. Afterwards, with nothing but kill-orphans, nothing is
// left, and nobody was harmed who only looks like a worker.
//
//	SNAKEPIT_TEST_KILLS=200 go test ./cmd -run KilledAnywhere -timeout 30m
func TestKilledAnywhere(t *testing.T) {
	s := newCrashSandbox(t)
	id := newRunID(t)
	beside := s.beside(t, id)
	neighbour := startCrashRun(t, s, id+"-n", "", 1)
	v := &victim{s: s, id: id}
	limit := v.measure(t)
	for i := range kills(t) {
		phase, layers := []string{"start", "stop"}[i%2], []string{"", "none", "none", ""}[i%4]
		v.method = startMethods()[i/4%len(startMethods())]
		after := rand.N(limit[phase])
		v.start(t, layers)
		endNamesakes := func() {}
		if phase == "stop" {
			v.awaitReady(t)
			endNamesakes = beside.withNamesakes(t)
			v.signal(t, os.Interrupt)
		}
		time.Sleep(after) // any moment is as good as another
		v.signal(t, syscall.SIGKILL)
		_ = v.cmd.Wait() // it was killed, or had stopped before
		what := fmt.Sprintf("killed %v after the begin of its %s, layers %q, %s", after, phase, layers, v.method)
		out := v.killOrphans(t, what)
		if left := v.left(t); len(left) > 0 {
			t.Fatalf("%s: left: %q\nkill-orphans: %s", what, left, out)
		}
		endNamesakes()
	}
	for _, p := range append(neighbour.workers, neighbour.supervisor, neighbour.guard) {
		if gone, err := p.Gone(); gone || err != nil {
			t.Errorf("PID %d of the living neighbour was harmed: %v", p.ID().PID, err)
		}
	}
	s.mustRun(t, "", "stop", "--run-id", neighbour.id)
	s.mustBeClean(t)
}

// victim is a supervisor in the foreground, one after the other.
type victim struct {
	s      *sandbox
	id     string
	method string // of starting workers; "" for the default
	cmd    *exec.Cmd
	stderr *bufio.Reader
}

func (v *victim) start(t *testing.T, layers string) {
	t.Helper()
	v.cmd = v.s.command("start", "--workers", "2", "--run-id", v.id)
	v.cmd.Env = append(slices.Clip(v.cmd.Env), layersVariable+"="+layers, startMethodVariable+"="+v.method)
	pipe, err := v.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.stderr = bufio.NewReader(pipe)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (v *victim) awaitReady(t *testing.T) {
	t.Helper()
	var said strings.Builder
	for {
		line, err := v.stderr.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("it never became ready: %v: %s", err, said.String())
		}
		if strings.Contains(line, "Ctrl-C") {
			return
		}
	}
}

// signal tolerates that it has ended: a stop can be faster than the kill.
func (v *victim) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := v.cmd.Process.Signal(sig); err != nil && !strings.Contains(err.Error(), "already finished") {
		t.Fatal(err)
	}
}

// measure takes the time of a start and of a stop, and a little more.
func (v *victim) measure(t *testing.T) map[string]time.Duration {
	t.Helper()
	began := time.Now()
	v.start(t, "")
	v.awaitReady(t)
	started := time.Since(began)
	began = time.Now()
	v.signal(t, os.Interrupt)
	_, _ = io.Copy(io.Discard, v.stderr)
	if err := v.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return map[string]time.Duration{"start": started * 5 / 4, "stop": time.Since(began) * 5 / 4}
}

// killOrphans is patient: it is refused while the guard cleans up.
func (v *victim) killOrphans(t *testing.T, what string) string {
	t.Helper()
	for {
		out, err := v.s.command("kill-orphans", "--run-id", v.id, "--yes").CombinedOutput()
		switch {
		case exitsWith("0", err) == nil, exitsWith("3", err) == nil: // 3: there is nothing
			return string(out)
		case exitsWith("6", err) == nil && v.meansNamesake(string(out)):
			return string(out)
		case exitsWith("6", err) != nil || !strings.Contains(string(out), "somebody cleans up"):
			t.Fatalf("%s: kill-orphans: %v: %s", what, err, out)
		}
		if err := rundir.WaitEnded(t.Context(), filepath.Join(v.s.runs(), v.id)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// meansNamesake says that nothing is there to be killed but who has the name of
// the run, which kill-orphans takes for a run that may be alive.
func (v *victim) meansNamesake(out string) bool {
	_, after, found := strings.Cut(out, "it may be alive: PID ")
	number, _, _ := strings.Cut(after, ":")
	pid, err := strconv.Atoi(number)
	return found && err == nil && v.s.spares(pid)
}

// left names what of the victim is alive.
func (v *victim) left(t *testing.T) (left []string) {
	t.Helper()
	all, err := procscan.Scan(t.Context(), procscan.Options{ReadEnv: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Run(v.id) {
		if v.s.spares(p.PID) {
			continue
		}
		left = append(left, fmt.Sprintf("PID %d: %s", p.PID, strings.Join(p.Args, " ")))
	}
	return left
}
