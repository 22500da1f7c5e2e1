package cmd

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asFirst has the command run as PID 1 of a PID namespace, with a /proc that
// shows only that (pid_namespaces(7)). All in it end with it. The command has not
// been started yet. Where that is not permitted, the test is skipped.
func asFirst(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may make a PID namespace")
	}
	if out, err := first(exec.Command("true")).CombinedOutput(); err != nil {
		t.Skipf("a PID namespace with a /proc is not permitted here: %v: %s", err, out)
	}
	return first(cmd)
}

func first(cmd *exec.Cmd) *exec.Cmd {
	args := append([]string{"-c", `mount -t proc proc /proc && exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	inside := exec.Command("sh", args...)
	inside.Dir, inside.Env = cmd.Dir, cmd.Env
	// Unshareflags make the mounts private as well, so that ours is not seen outside.
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	return inside
}

// insideVariable has the name of the test that runs in a namespace.
const insideVariable = "SNAKEPIT_TEST_INSIDE"

// inside has the calling test run once more as PID 1 of a PID namespace, and
// says whether this is that.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		if os.Getpid() != 1 {
			t.Fatalf("it has PID %d", os.Getpid())
		}
		return true
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again := exec.Command(executable, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	again.Env = append(os.Environ(), insideVariable+"="+t.Name())
	out, err := asFirst(t, again).CombinedOutput()
	switch {
	case err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Errorf("inside: %v\n%s", err, out)
	default:
		t.Logf("inside:\n%s", out)
	}
	return false
}

// childrenOf are the living processes whose parent this is.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	return childrenIn(t, pid, func(state string) bool { return state != "Z" })
}

// zombiesOf are those that have ended, and that it has not waited for.
func zombiesOf(t *testing.T, pid int) []int {
	t.Helper()
	return childrenIn(t, pid, func(state string) bool { return state == "Z" })
}

func childrenIn(t *testing.T, pid int, wanted func(state string) bool) (children []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))); fields[1] == strconv.Itoa(pid) && wanted(fields[0]) {
			children = append(children, child)
		}
	}
	return children
}

// awaitReaped waits until nothing is left of a process, not even a zombie. That
// can only be polled: it is no child of ours.
func awaitReaped(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			_, state, err := kernelSays(pid)
			t.Fatalf("PID %d is not reaped: it is in state %s, %v", pid, state, err)
		}
	}
}

// awaitLine reads what a program says until it says this.
func awaitLine(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	var said strings.Builder
	for {
		line, err := r.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("it never said %q: %v: %s", text, err, said.String())
		}
		if strings.Contains(line, text) {
			return
		}
	}
}
