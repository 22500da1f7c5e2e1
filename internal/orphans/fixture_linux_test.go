package orphans

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// The test binary starts itself as the processes that the tests need:
//
//	test ─▶ reaper, called systemd, a child subreaper ─▶ host ─▶ the process
//
// When the host is told to die, the process is an orphan below the reaper. All
// of them end when the pipe that is their standard input closes.
const (
	modeEnv  = "ORPHANS_FIXTURE"
	childEnv = "ORPHANS_CHILD" // the mode of the process
	argsEnv  = "ORPHANS_ARGS"  // its arguments, one a line
	varsEnv  = "ORPHANS_VARS"  // its own variables, one a line
	uidEnv   = "ORPHANS_UID"

	neighbourEnv = "ORPHANS_NEIGHBOUR" // the marker of another run, for a descendant
)

func TestMain(m *testing.M) {
	modes := map[string]func(){
		"reaper":      reaper,
		"host":        host,
		"sleep":       func() {},
		"overwrite":   overwrite,
		"closed":      func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) },
		"find":        findFromOutside,
		"ignore-term": func() { signal.Ignore(syscall.SIGTERM) },
		"grandchild":  func() { signal.Ignore(syscall.SIGTERM); fork("ignore-term", true) },
		"clean":       clean,
		"leader-dies": func() { fork("ignore-term", false) }, // TERM ends the leader alone
		"ten":         ten,
		"bare-child":  func() { fork("sleep", false, bare...) },
	}
	mode, ok := modes[os.Getenv(modeEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	mode()
	fmt.Println("ready", os.Getpid())
	select {}
}

// overwrite writes zeros over its environment, as setproctitle(3) does.
func overwrite() {
	line, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		fmt.Println("cannot overwrite:", err)
		return
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	from, _ := strconv.ParseInt(fields[50-3], 10, 64) // env_start, env_end
	to, _ := strconv.ParseInt(fields[51-3], 10, 64)
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err == nil {
		defer memory.Close()
		_, err = memory.WriteAt(make([]byte, to-from), from)
	}
	if err != nil {
		fmt.Println("cannot overwrite:", err)
	}
}

// findFromOutside becomes unreadable, and says what it finds of a run.
func findFromOutside() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	r, err := Find(context.Background(), Options{Runs: os.Getenv("ROOT"), RunID: os.Getenv("RUN")})
	text := strings.Join(r.Problems, "; ")
	fmt.Println("found", strings.ReplaceAll(fmt.Sprintf("%d|%v|%s", len(r.Processes), err, text), " ", "_"))
}

func ten() {
	signal.Ignore(syscall.SIGTERM)
	for range 10 {
		fork("ignore-term", true)
	}
}

// clean has children without a marker, in its group and in sessions of their own,
// and one that has become a worker of another run, with a child of its own.
func clean() {
	fork("sleep", false, bare...)
	fork("ignore-term", true, bare...)
	fork("bare-child", true, bare...)
	fork("bare-child", true, os.Getenv(neighbourEnv), procscan.WorkerIDEnv+"=w")
}

// bare takes the marker away.
var bare = []string{procscan.RunIDEnv + "=", procscan.WorkerIDEnv + "="}

// reaper adopts what the host leaves. It passes on what the host says.
func reaper() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println("prctl:", err)
	}
	children := make(chan os.Signal, 100)
	signal.Notify(children, syscall.SIGCHLD)
	pid := start("host", []string{"beam.smp"}, os.Stdout)
	go func() {
		for range children {
			for {
				// It has no other business with its children.
				if got, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); got <= 0 || err != nil {
					break
				}
			}
		}
	}()
	fmt.Println("host", pid)
	select {}
}

func host() {
	pid := start(os.Getenv(childEnv), strings.Split(os.Getenv(argsEnv), "\n"), os.Stdout)
	fmt.Println("child", pid)
	select {}
}

// fork starts a child that has a command line of its own and inherits the rest.
func fork(mode string, session bool, vars ...string) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"my own command line"}
	cmd.Env = append(append(os.Environ(), modeEnv+"="+mode), vars...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	cmd.Stdin = os.Stdin
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		fmt.Println("cannot fork:", err)
		os.Exit(1)
	}
}

func start(mode string, args []string, out io.Writer) int {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = args
	cmd.Env = append(os.Environ(), modeEnv+"="+mode)
	if mode != "host" {
		cmd.Env = append(cmd.Env, strings.Split(os.Getenv(varsEnv), "\n")...)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if uid, err := strconv.Atoi(os.Getenv(uidEnv)); err == nil && mode != "host" {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	if err := cmd.Start(); err != nil {
		fmt.Println("cannot start:", err)
		os.Exit(1)
	}
	return cmd.Process.Pid
}

// family is a reaper, a host and a process.
type family struct {
	reaper, host, child procscan.ID
	found               string // what findFromOutside said
}

type process struct {
	mode string
	args []string
	env  []string
	uid  int // 0: ours
}

// worker has the looks of a worker of the run.
func worker(mode, run string) process {
	return process{
		mode: mode, args: []string{"python3", "/opt/app/grpc_server.py", procscan.RunIDFlag, run},
		env: []string{procscan.RunIDEnv + "=" + run, procscan.WorkerIDEnv + "=default-0"},
	}
}

// elixir is a worker of another host, which sets no variables.
func elixir(mode, run string) process {
	return process{mode: mode, args: []string{"python3", "priv/python/grpc_server_threaded.py", procscan.RunIDFlag, run}}
}

// raise starts a family that lives until the test ends.
func raise(t *testing.T, p process) family {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"systemd"}
	cmd.Env = []string{
		modeEnv + "=reaper", childEnv + "=" + p.mode, argsEnv + "=" + strings.Join(p.args, "\n"),
		varsEnv + "=" + strings.Join(p.env, "\n"), "GORACE=atexit_sleep_ms=0",
	}
	if p.uid != 0 {
		cmd.Env = append(cmd.Env, uidEnv+"="+strconv.Itoa(p.uid))
	}
	cmd.Stderr = os.Stderr
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
	f := family{reaper: mustLookup(t, cmd.Process.Pid)}
	t.Cleanup(func() {
		_ = in.Close()
		if h, err := procscan.Open(f.child); err == nil {
			_ = h.Signal(syscall.SIGKILL) // it may be stopped
			_ = h.Close()
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for (f.host.IsZero() || f.child.IsZero()) && lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 2 {
			t.Fatalf("a fixture said %q", lines.Text())
		}
		pid, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "found":
			f.found = words[1]
		case "host":
			f.host = mustLookup(t, pid)
		case "ready":
			f.child = mustLookup(t, pid)
		}
	}
	if f.child.IsZero() {
		t.Fatal("the fixture did not start: ", lines.Err())
	}
	return f
}

// orphan raises a family and kills the host.
func orphan(t *testing.T, p process) family {
	t.Helper()
	f := raise(t, p)
	kill(t, f.host)
	return f
}

func kill(t *testing.T, id procscan.ID) {
	t.Helper()
	h, err := procscan.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Its children have their new parent only when it has been waited for.
	for alive := true; alive; {
		if err := syscall.Kill(id.PID, 0); errors.Is(err, syscall.ESRCH) {
			alive = false
		}
		time.Sleep(time.Millisecond)
	}
}

func mustLookup(t *testing.T, pid int) procscan.ID {
	t.Helper()
	id, err := procscan.Lookup(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustAlive(t *testing.T, id procscan.ID, want bool) {
	t.Helper()
	alive, err := id.Alive()
	if err != nil || alive != want {
		t.Errorf("process %d alive: %v, %v; want %v", id.PID, alive, err, want)
	}
}

// newRun returns a run id that no other process on this machine carries.
func newRun() string { return "t" + strings.ToLower(rand.Text()[:12]) }

// makeRun makes the directory of a run, with this registry. Its lock is held
// until the returned run is closed.
func makeRun(t *testing.T, root, id string, supervisor procscan.ID, workers ...procscan.ID) *rundir.Run {
	t.Helper()
	run, err := rundir.Create(context.Background(), root, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	registry, err := run.OpenRegistry()
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	for i, w := range workers {
		if err := registry.Put(rundir.Entry{Worker: fmt.Sprintf("w-%d", i), Pool: "default", PID: w.PID, Start: w.Start, Boot: w.Boot}); err != nil {
			t.Fatal(err)
		}
	}
	record := rundir.Record{State: rundir.StateRunning, Supervisor: rundir.Process{PID: supervisor.PID, Start: supervisor.Start, Boot: supervisor.Boot}}
	if err := run.WriteRecord(record); err != nil {
		t.Fatal(err)
	}
	return run
}

// deadRun makes a run whose supervisor was the host of the family.
func deadRun(t *testing.T, root, id string, supervisor procscan.ID, workers ...procscan.ID) {
	t.Helper()
	if err := makeRun(t, root, id, supervisor, workers...).Close(); err != nil {
		t.Fatal(err)
	}
}
