package procscan

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A process in a PID namespace of its own that still sees the /proc of the
// machine, as after "unshare --pid --fork": PIDs that it reads there are other
// processes to the system calls.
func TestProcOfAnotherNamespace(t *testing.T) {
	child := exec.Command("/proc/self/exe")
	child.Env = []string{fixtureEnv + "=scan-elsewhere", "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + t.TempDir()}
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Run(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skip("no PID namespace can be made here: ", err)
	} else if err != nil {
		t.Fatal(err, out.String())
	}
	want := "scan: cannot look: " + ErrOtherNamespace.Error() + "\nlookup: cannot look up process 1: " + ErrOtherNamespace.Error() + "\ntyped: true true\n"
	if got := out.String(); got != want {
		t.Errorf("it said %q, want %q", got, want)
	}
	if !strings.Contains(want, "/proc belongs to another PID namespace; mount a proc of your own") {
		t.Errorf("%q", want)
	}
}
