package cmd

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// squat has another process listen on the port, and returns its PID and what
// ends it.
func squat(t *testing.T, host string, port int32, uid int) (pid int, leave func()) {
	t.Helper()
	const program = `
import os, socket, sys
uid = int(sys.argv[3])
if uid: # not from the beginning: another user may not be able to run this Python
    os.setgid(uid)
    os.setuid(uid)
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((sys.argv[1], int(sys.argv[2])))
    s.listen()
    print("listens", flush=True)
    sys.stdin.read()
`
	cmd := exec.Command("python3", "-c", program, host, fmt.Sprint(port), fmt.Sprint(uid))
	cmd.Dir = "/"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	left := false
	leave = func() {
		if !left {
			left = true
			in.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(leave)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd.Process.Pid, leave
}

// A port that is taken while its worker is away: who holds it is named, nobody
// is harmed, and the worker is back on it as soon as it is free.
func TestSquattedPort(t *testing.T) {
	s, id, client := startControlled(t, "--workers", "2")
	port := workersIn(t, client)[0].Port
	nobody := 0
	if os.Getuid() == 0 {
		nobody = 65534
	} else {
		t.Log("not root: no squatter is another user's")
	}
	for _, squatter := range []struct {
		what, host string
		uid        int
	}{
		{"the worker's own address", "127.0.0.1", 0},
		{"every address", "0.0.0.0", 0},
		{"every address of both kinds", "::", 0},
		{"of another user", "0.0.0.0", nobody},
	} {
		t.Run(squatter.what, func(t *testing.T) {
			s.mustRun(t, "", "stop", "default-0", "--run-id", id)
			pid, leave := squat(t, squatter.host, port, squatter.uid)
			restart := s.command("restart", "default-0", "--run-id", id, "--release-timeout", "200ms")
			out, err := restart.CombinedOutput()
			if restart.ProcessState.ExitCode() != exitTimeout {
				t.Fatalf("%v, want exit code %d\n%s", err, exitTimeout, out)
			}
			for _, want := range []string{"cleanup_timeout", fmt.Sprintf("port %d", port), fmt.Sprintf("PID %d", pid), "python3", "next: "} {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			if w := workersIn(t, client)[0]; w.State != string(pool.Blocked) || !strings.Contains(w.Message, fmt.Sprint(pid)) {
				t.Errorf("got %v, want it blocked by PID %d", w, pid)
			}
			if syscall.Kill(pid, 0) != nil {
				t.Error("the squatter was ended")
			}
			leave()
			if w := awaitAllReady(t, client)[0]; w.Port != port {
				t.Errorf("it is back on port %d, it had %d", w.Port, port)
			}
		})
	}
}
