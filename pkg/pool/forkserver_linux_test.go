package pool

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// answers plays a forkserver: one answer to each message, and then it is gone. It
// returns what it was asked.
func answers(t *testing.T, given *os.File, all ...string) <-chan []string {
	t.Helper()
	conn, err := net.FileConn(given)
	if err != nil {
		t.Fatal(err)
	}
	_ = given.Close()
	asked := make(chan []string, 1)
	go func() {
		defer conn.Close()
		var heard []string
		defer func() { asked <- heard }()
		text := make([]byte, maxMessageToFork)
		for _, answer := range all {
			n, err := conn.Read(text)
			if err != nil {
				return
			}
			heard = append(heard, string(text[:n]))
			if answer != "" {
				_, _ = conn.Write([]byte(answer))
			}
		}
	}()
	return asked
}

// fork asks such a forkserver for a worker.
func fork(t *testing.T, all ...string) (*child, []string, error) {
	t.Helper()
	l, _ := rig(t, "serve")
	ours, given, err := newLink()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.close()
	asked := answers(t, given, all...)
	c, theirs, err := l.newChild(Spec{Worker: "default-1", Port: 4711}, ReadyWhen{}, newMemory())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.close()
	t.Cleanup(func() { _ = c.ready.Close(); _ = c.prints.Close() })
	server := &forkserver{child: &child{}, link: ours}
	err = server.fork(c, theirs, nil)
	_ = ours.close()
	return c, <-asked, err
}

// sleeper is a child of this process that is not waited for: a fork that has come to
// be ours looks the same.
func sleeper(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

func pidMessage(t *testing.T, name string, pid int) string {
	t.Helper()
	text, err := json.Marshal(map[string]int{name: pid})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestForkIsAdopted(t *testing.T) {
	pid := sleeper(t)
	c, asked, err := fork(t, pidMessage(t, "pid", pid), pidMessage(t, "adopted", pid))
	if err != nil || c.id.PID != pid {
		t.Fatalf("PID %d, %v; want %d", c.id.PID, err, pid)
	}
	if !c.launcher.started(pid) {
		t.Error("it would be taken for a stranger")
	}
	want := []string{
		`{"worker":"default-1","port":4711,"parent_death":true,"descriptors":["output","ready","lifeline"]}`,
		pidMessage(t, "adopt", pid),
	}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("it was asked %q, want %q", asked, want)
	}
	c.launcher.Forget(pid)
}

// The forkserver dies between its word and the adoption: the launch has failed, and
// leaves nobody behind.
func TestForkserverDiesOverAFork(t *testing.T) {
	pid := sleeper(t)
	c, _, err := fork(t, pidMessage(t, "pid", pid), "")
	if err == nil {
		t.Fatal("the fork succeeded")
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("PID %d is still there: %v", pid, err)
	}
	if c.launcher.started(pid) {
		t.Error("its PID is still taken for a worker's")
	}
}

func TestForkIsRefused(t *testing.T) {
	var refused *refusal
	_, _, err := fork(t, `{"refused":"fork","message":"cannot fork: Resource temporarily unavailable"}`)
	if !errors.As(err, &refused) || refused.Kind != "fork" || err.Error() != "the forkserver does not fork: cannot fork: Resource temporarily unavailable" {
		t.Errorf("%v", err)
	}
}

// A forkserver that talks nonsense has nobody signalled or taken for a worker.
func TestForkserverNamesNobody(t *testing.T) {
	for _, answer := range []string{`{}`, `{"pid":1}`, `{"pid":-1}`, `nonsense`} {
		c, _, err := fork(t, answer)
		if err == nil || c.process != nil {
			t.Errorf("%s: %v, process %v", answer, err, c.process)
		}
	}
}
