package guard

import (
	"bufio"
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// keeper is a Keeper for a program that reaps no strangers.
type keeper struct{}

func (keeper) Keep(cmd *exec.Cmd) error { return cmd.Start() }
func (keeper) Forget(int)               {}

// newRun is a run id that no other process of the machine carries.
func newRun() string { return "t" + strings.ToLower(rand.Text()[:12]) }

// soon is the time within which anything happens that works at all.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// fixture is a process that stays until the test ends, or the guard ends it.
type fixture struct {
	name string
	id   procscan.ID
	cmd  *exec.Cmd
	out  *bufio.Reader
}

type looks struct {
	role  string // "wait" if empty
	args  []string
	env   []string
	leads bool // a session of its own, as a worker does
	user  *syscall.Credential
}

// runKey is that of every run here: their ids tell them apart.
const runKey = "k"

func markersOf(run string) []string {
	return []string{procscan.RunIDEnv + "=" + run, procscan.WorkerIDEnv + "=default-0", procscan.RunKeyEnv + "=" + runKey}
}

// worker looks like a worker of the run.
func worker(run string) looks {
	return looks{args: []string{"python3", "/opt/app/grpc_server.py", procscan.RunIDFlag, run}, env: markersOf(run)}
}

// strangers are processes which mention the run and are none of its own.
func strangers(run string) map[string]looks {
	return map[string]looks{
		"run id inside a long argument": {args: []string{"sleep", "python3 grpc_server.py " + procscan.RunIDFlag + " " + run}},
		"run id as an argument alone":   {args: []string{"grep", "--", procscan.RunIDFlag, run}},
		"exported in a shell":           {args: []string{"bash"}, env: []string{procscan.RunIDEnv + "=" + run}},
		"another run, same prefix":      worker(run + "2"),
		"not marked at all":             {args: []string{"sleep", "60"}},
	}
}

func start(t *testing.T, name string, l looks) *fixture {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if l.user != nil {
		self = "/proc/self/exe" // another user may not be able to reach the path
	}
	if l.role == "" {
		l.role = "wait"
	}
	cmd := exec.Command(self)
	if l.args != nil {
		cmd.Args = l.args
	}
	cmd.Env = append([]string{roleEnv + "=" + l.role, "GORACE=atexit_sleep_ms=0"}, l.env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: l.leads, Credential: l.user}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	f := &fixture{name: name, cmd: cmd, out: bufio.NewReader(out)}
	if f.id, err = procscan.Lookup(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if l.role == "supervisor" || l.role == "parent" || l.role == "look" {
		return f
	}
	if said := line(t, f.out); said != "ready" {
		t.Fatalf("%s says %q", name, said)
	}
	return f
}

func (f *fixture) alive(t *testing.T) bool {
	t.Helper()
	alive, err := f.id.Alive()
	if err != nil {
		t.Fatal(err)
	}
	return alive
}

// endedBy is the signal that ended the process; 0 for none.
func (f *fixture) endedBy(t *testing.T) syscall.Signal {
	t.Helper()
	if f.alive(t) {
		t.Errorf("%s lives", f.name)
		return 0
	}
	_ = f.cmd.Wait()
	return f.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
}

// child is one that the fixture has started and tells of. It ends with it at the
// latest when the test does.
func (f *fixture) child(t *testing.T) *fixture {
	t.Helper()
	pid, err := strconv.Atoi(line(t, f.out))
	if err != nil {
		t.Fatal(err)
	}
	id, err := procscan.Lookup(pid)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{name: "child of " + f.name, id: id}
}

func startStrangers(t *testing.T, run string) []*fixture {
	t.Helper()
	var all []*fixture
	for name, l := range strangers(run) {
		all = append(all, start(t, name, l))
	}
	return all
}

func mustLive(t *testing.T, all []*fixture) {
	t.Helper()
	for _, f := range all {
		if !f.alive(t) {
			t.Errorf("%s: it was killed", f.name)
		}
	}
}

// house is a run's directory, whose lock the test holds, and its guard.
type house struct {
	runs, run string
	dir       *rundir.Run
	guard     *Guard
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{runs: t.TempDir(), run: newRun()}
	var err error
	if h.dir, err = rundir.Create(t.Context(), h.runs, h.run); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.dir.Close() })
	self, err := procscan.Lookup(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	self.Start-- // so that this process can play the dead one as well
	if err := h.dir.WriteRecord(recordFor(self, "")); err != nil {
		t.Fatal(err)
	}
	return h
}

// watch starts the guard. It ends with the test in any case.
func (h *house) watch(t *testing.T) *Guard {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if h.guard, err = Start(keeper{}, self, h.run, h.runs, os.Stderr, "--key", runKey); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if id := h.guard.ID(); !id.IsZero() {
			procscan.End(context.Background(), []procscan.Target{{ID: id, TrustIdentity: true}}, procscan.EndOptions{})
		}
		<-h.guard.done
	})
	return h.guard
}

// supervise has another process be the run's supervisor, as far as it is recorded.
func (h *house) supervise(t *testing.T, id procscan.ID) {
	t.Helper()
	procscan.End(soon(t), []procscan.Target{{ID: id, TrustIdentity: true}}, procscan.EndOptions{})
	if err := h.dir.WriteRecord(recordFor(id, "")); err != nil {
		t.Fatal(err)
	}
}

// register puts a process into the run's registry.
func (h *house) register(t *testing.T, entries ...procscan.ID) {
	t.Helper()
	registry, err := h.dir.OpenRegistry()
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	for i, id := range entries {
		e := rundir.Entry{
			Worker: "default-" + string(rune('0'+i)), Pool: "default", Host: "127.0.0.1", Port: 4000 + i, Incarnation: 1,
			PID: id.PID, Start: id.Start, Boot: id.Boot,
		}
		if err := registry.Put(e); err != nil {
			t.Fatal(err)
		}
	}
}

// die is what the guard sees of a supervisor's end: its pipe closes.
func (h *house) die(t *testing.T) {
	t.Helper()
	if err := h.guard.in.Close(); err != nil {
		t.Fatal(err)
	}
}

func (h *house) awaitGuard(t *testing.T) {
	t.Helper()
	select {
	case <-h.guard.done:
	case <-soon(t).Done():
		t.Fatal("the guard stays")
	}
}
