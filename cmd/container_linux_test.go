package cmd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What docs/containers.md says of a supervisor that is PID 1.

// Who was left by workers and ends is waited for: no zombies pile up.
func TestPIDOneReapsWhatWorkersLeave(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	s.write(t, "strange.py", strange)
	id := newRunID(t)
	s.beside(t, id)
	host := startFirst(t, s, id)
	known := childrenOf(t, host.Process.Pid)
	s.mustRun(t, "", "call", "leave", `{"count": 100}`, "--run-id", id)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // nothing tells
		living, zombies := childrenOf(t, host.Process.Pid), zombiesOf(t, host.Process.Pid)
		if len(living) == len(known) && len(zombies) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("children of the supervisor: %v; zombies: %v", living, zombies)
		}
	}
	s.mustRun(t, "", "stop", "--run-id", id)
	if err := host.Wait(); err != nil {
		t.Error(err)
	}
	s.mustBeClean(t)
}

// "docker stop" is TERM to PID 1, which has no default action there: it has to be
// heard. The exit code is the container's.
func TestPIDOneStopsByTerm(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	s.write(t, "strange.py", strange)
	id := newRunID(t)
	s.beside(t, id)
	host := startFirst(t, s, id)
	s.mustRun(t, "", "call", "spawn", "--run-id", id) // ends with the container, if not before
	if err := host.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := host.Wait(); err != nil {
		t.Error("it did not stop with exit code 0:", err)
	}
	if out := s.mustRun(t, "", "events", "--run-id", id); !strings.Contains(out, "cleanup_success") {
		t.Errorf("its guard has not looked: %s", out)
	}
	s.mustBeClean(t)
}

func TestPIDOneTellsWhyItEnds(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	id := newRunID(t)
	s.beside(t, id)
	for _, tt := range []struct {
		code string
		args []string
	}{
		{"2", []string{"--adapter", "there_is:None"}},
		{"2", []string{"--workers", "some"}},
		{"1", []string{"--command", "sh -c 'exit 3'"}},
	} {
		out, err := asFirst(t, s.command(append([]string{"start", "--run-id", id, "--workers", "1"}, tt.args...)...)).CombinedOutput()
		if err := exitsWith(tt.code, err); err != nil || !strings.Contains(string(out), "error: ") {
			t.Errorf("%v: %v: %s", tt.args, err, out)
		}
	}
	s.mustBeClean(t)
}

// A root file system that is read-only, with a tmpfs for the state and one for the
// socket, which is all that is written. The environment of Python is in the image.
func TestPIDOneOnReadOnlyRoot(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	id := newRunID(t)
	s.beside(t, id)
	base := filepath.Dir(s.dir)
	writable := []string{filepath.Join(base, "state"), filepath.Join(base, "run")}
	for _, dir := range writable {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	host := asFirst(t, s.command("start", "--workers", "2", "--run-id", id, "-o", "json"))
	// "$@" of first's shell is the program; its mounts come before it.
	host.Args[2] = "mount -o remount,bind,ro / && mount -t tmpfs tmpfs " + writable[0] + " && mount -t tmpfs tmpfs -o mode=0700 " + writable[1] + " && " + host.Args[2]
	coverage := "GOCOVERDIR=" + writable[0] // of a build for coverage, which writes at its exit
	host.Env = append(host.Environ(), coverage)
	var said bytes.Buffer
	host.Stderr = &said
	ready, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	mustStart(t, host)
	if n, err := ready.Read(make([]byte, 1)); n != 1 || err != nil {
		_ = host.Wait() // what it has said tells more
		t.Fatalf("it is not ready: %v: %s", err, said.String())
	}
	within := func(args ...string) string {
		t.Helper()
		cmd := s.command(args...)
		enter := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(host.Process.Pid), "--pid", "--mount", "--wdns=" + cmd.Dir, cmd.Path}, args...)...)
		enter.Env = append(cmd.Environ(), coverage)
		out, err := enter.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := within("call", "ping"); out != "\"pong\"\n" {
		t.Errorf("ping says %q", out)
	}
	within("restart", "--all")
	if out := within("kill-orphans", "--yes"); !strings.Contains(out, "no orphans") {
		t.Errorf("kill-orphans says %q", out)
	}
	go func() { _, _ = ready.Read(make([]byte, 1<<20)) }()
	if err := host.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := host.Wait(); err != nil || !strings.Contains(said.String(), "No orphaned processes: supervision cleaned up") {
		t.Errorf("%v: %s", err, said.String())
	}
	s.mustBeClean(t)
}
