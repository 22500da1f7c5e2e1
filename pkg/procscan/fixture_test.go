package procscan

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary starts itself as the processes that the tests need. They end
// when the pipe that is their standard input closes, so that none outlives a
// test run, however it ends.

const fixtureEnv = "PROCSCAN_FIXTURE"

var fixtures = map[string]func(){
	"sleep":          func() { ready() },
	"ignore-term":    func() { signal.Ignore(syscall.SIGTERM); ready() },
	"session-child":  func() { ready(spawn("sleep", true)) },
	"group-child":    func() { ready(spawn("sleep", false)) },
	"stubborn-child": func() { ready(spawn("ignore-term", false)) },
	"ten-children":   tenChildren,
	"respawn":        func() { respawn(true) },
	"respawn-here":   func() { respawn(false) },
	"heir":           func() { ready(spawn("respawn-here", false)) },
	"headless":       headless,
	"overwrite":      overwrite,
	"closed":         closed,
	"closed-seen":    closedSeen,
	"end":            endFromOutside,
	"scan":           scanFromOutside,
	"scan-elsewhere": scanElsewhere,
}

func init() {
	if os.Getenv(fixtureEnv) == "headless" {
		runtime.LockOSThread() // keeps main on the first thread of the process
	}
}

func TestMain(m *testing.M) {
	run, ok := fixtures[os.Getenv(fixtureEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	run()
	select {}
}

// ready tells the test that the fixture is what it shall be.
func ready(words ...any) {
	_, _ = fmt.Println(append([]any{"ready"}, words...)...)
}

// spawn starts another fixture that inherits everything else, waits until it is
// ready, and returns its PID.
func spawn(fixture string, session bool) int {
	child := exec.Command("/proc/self/exe")
	if runtime.GOOS != "linux" {
		child = exec.Command(os.Args[0])
	}
	child.Args = []string{"my own command line"}
	child.Env = append(os.Environ(), fixtureEnv+"="+fixture)
	child.Stdin = os.Stdin
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		fmt.Println("cannot start a child:", err)
		os.Exit(1)
	}
	return child.Process.Pid
}

func tenChildren() {
	signal.Ignore(syscall.SIGTERM)
	var pids []any
	for range 10 {
		pids = append(pids, spawn("ignore-term", true))
	}
	ready(pids...)
}

// respawn leaves a successor when it is told to end, in its group or not.
func respawn(session bool) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	ready()
	<-told
	spawn("sleep", session)
	os.Exit(0)
}

// fixture is a started process of the test binary.
type fixture struct {
	id    ID
	words []string // what it said after "ready"
	cmd   *exec.Cmd
}

func (f fixture) pid(i int) int { n, _ := strconv.Atoi(f.words[i]); return n }

type with func(*exec.Cmd)

func args(list ...string) with { return func(c *exec.Cmd) { c.Args = list } }
func env(list ...string) with  { return func(c *exec.Cmd) { c.Env = append(c.Env, list...) } }
func session() with            { return func(c *exec.Cmd) { c.SysProcAttr.Setsid = true } }
func nobody() with {
	return func(c *exec.Cmd) { c.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534} }
}

// worker gives a process the looks of a worker.
func worker(runID string) with {
	return func(c *exec.Cmd) {
		args("python3", "/opt/app/grpc_server.py", "--port", "0", RunIDFlag, runID)(c)
		env(RunIDEnv+"="+runID, WorkerIDEnv+"=default-0")(c)
	}
}

// start runs a fixture until the test ends.
func start(t testing.TB, name string, how ...with) fixture {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // another user may not be able to reach the path
	}
	f := fixture{cmd: exec.Command(self)}
	f.cmd.Env = []string{fixtureEnv + "=" + name, "GORACE=atexit_sleep_ms=0"}
	f.cmd.SysProcAttr = &syscall.SysProcAttr{}
	f.cmd.Stderr = os.Stderr
	for _, apply := range how {
		apply(f.cmd)
	}
	in, err := f.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = f.cmd.Process.Kill()
		_, _ = f.cmd.Process.Wait()
		for i := range f.words {
			awaitEnd(t, f.pid(i))
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || words[0] != "ready" {
		t.Fatalf("fixture %s said %q: %v", name, line, err)
	}
	f.words = words[1:]
	if f.id, err = Lookup(f.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return f
}

// awaitEnd waits for a descendant of a fixture, whose standard input is closed.
func awaitEnd(t testing.TB, pid int) {
	id, err := Lookup(pid)
	if err != nil {
		return
	}
	h, err := Open(id)
	if err != nil {
		return
	}
	defer h.Close()
	_ = h.Signal(syscall.SIGKILL) // it may be stopped; the handle makes sure that it is this one
	if err := h.Wait(soon(t)); err != nil {
		t.Errorf("a fixture was left behind: %v", err)
	}
}

// soon is a context for what happens at once unless something is broken.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// newRun returns a run id that no other process on this machine carries.
func newRun() string { return "t" + strings.ToLower(rand.Text()[:12]) }

func mustAlive(t testing.TB, id ID, want bool) {
	t.Helper()
	alive, err := id.Alive()
	if err != nil || alive != want {
		t.Errorf("process %d alive: %v, %v; want %v", id.PID, alive, err, want)
	}
}

func mustLookup(t testing.TB, pid int) ID {
	t.Helper()
	id, err := Lookup(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
