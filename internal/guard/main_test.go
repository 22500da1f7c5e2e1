package guard

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// roleEnv makes the test binary a process that the tests need. Started as
// "snakepit guard", it is the guard.
const roleEnv = "GUARD_TEST_ROLE"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(roleEnv) != "":
		play(os.Getenv(roleEnv))
	case len(os.Args) > 1 && os.Args[0] == "snakepit" && os.Args[1] == "guard":
		os.Exit(beGuard())
	default:
		// The race detector has its processes wait a second before they exit.
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
		os.Exit(m.Run())
	}
}

func beGuard() int {
	flags := flag.NewFlagSet("guard", flag.ExitOnError)
	runID := flags.String("run-id", "", "")
	runs := flags.String("runs", "", "")
	key := flags.String("key", "", "")
	_ = flags.Parse(os.Args[2:])
	if err := Main(os.Stdin, os.Stdout, *runs, *runID, Key(*key)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

// play is a process that stays until its standard input ends, which it does
// with the test.
func play(role string) {
	switch role {
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "overwrite":
		if err := overwrite(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	case "look":
		lookAround()
	case "parent":
		fork("stubborn", false)
		fork("wait", true)
	case "supervisor":
		if err := superviseFor(os.Getenv("GUARD_TEST_RUNS"), os.Getenv("GUARD_TEST_RUN")); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// fork starts a child that has cleaned its environment, and says its PID.
func fork(role string, session bool) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"sleep"}
	cmd.Env = []string{roleEnv + "=" + role, "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid)
}

// superviseFor holds a run and has a guard, whose PID it says first.
func superviseFor(runs, runID string) error {
	dir, err := rundir.Create(context.Background(), runs, runID)
	if err != nil {
		return err
	}
	time.AfterFunc(time.Hour, func() { _ = dir.Close() }) // keeps it from being collected
	self, err := procscan.Lookup(os.Getpid())
	if err != nil {
		return err
	}
	if err := dir.WriteRecord(recordFor(self, os.Getenv("GUARD_TEST_SOCKET"))); err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Unsetenv(roleEnv); err != nil {
		return err
	}
	g, err := Start(keeper{}, executable, runID, runs, os.Stderr, "--key", runKey)
	if err != nil {
		return err
	}
	fmt.Println(g.ID().PID)
	return nil
}

func recordFor(id procscan.ID, socket string) rundir.Record {
	return rundir.Record{
		Version: "1.2.3", ControlAPI: 1, State: rundir.StateRunning, Socket: socket,
		Supervisor: rundir.Process{PID: id.PID, Start: id.Start, Boot: id.Boot},
	}
}

// line reads one line of a fixture's output.
func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("a process of the test says %q: %v", text, err)
	}
	return text[:len(text)-1]
}
