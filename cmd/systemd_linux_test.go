package cmd

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serviceManager is the other end of sd_notify(3): a real socket.
type serviceManager struct {
	t     *testing.T
	name  string
	conn  *net.UnixConn
	heard []string // all of it
}

// watchdogTime is within what time it wants to hear of the service.
const watchdogTime = 200 * time.Millisecond

func newServiceManager(t *testing.T, name string) *serviceManager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &serviceManager{t: t, name: name, conn: conn}
}

// service has the command run as the main process of a service.
func (m *serviceManager) service(cmd *exec.Cmd) *exec.Cmd {
	args := append([]string{"-c", `WATCHDOG_PID=$$ exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	inside := exec.Command("sh", args...)
	inside.Dir = cmd.Dir
	inside.Env = append(slices.Clone(cmd.Env), "NOTIFY_SOCKET="+m.name, fmt.Sprintf("WATCHDOG_USEC=%d", watchdogTime.Microseconds()))
	return inside
}

// next is what it hears next; "" when it hears nothing for so long.
func (m *serviceManager) next(patience time.Duration) string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := m.conn.Read(buffer)
	if os.IsTimeout(err) {
		return ""
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.heard = append(m.heard, string(buffer[:n]))
	return string(buffer[:n])
}

// until returns all that it hears until a message begins so, and fails when none does.
func (m *serviceManager) until(begins string) (heard []string) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		text := m.next(time.Until(deadline))
		heard = append(heard, text)
		if strings.HasPrefix(text, begins) {
			return heard
		}
	}
	m.t.Fatalf("never heard %q; heard %q", begins, slices.Compact(heard))
	return nil
}

// heardOf begins with one of these: a line of one of the messages.
func heardOf(heard []string, line string) bool {
	return slices.ContainsFunc(heard, func(text string) bool { return strings.Contains("\n"+text, "\n"+line) })
}

// silent drains what was said before, and wants nothing for five times as long as
// a watchdog waits.
func (m *serviceManager) silent(why string) {
	m.t.Helper()
	for drained := false; !drained; {
		drained = m.next(time.Millisecond) == ""
	}
	if text := m.next(5 * watchdogTime); text != "" {
		m.t.Errorf("%s, and it says %q", why, text)
	}
}

func mustStart(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// asksNobody looks at the environment with which processes were started.
func asksNobody(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || len(environ) == 0 {
			t.Errorf("PID %d: no environment: %v", pid, err)
		}
		for entry := range bytes.SplitSeq(environ, []byte{0}) {
			if bytes.HasPrefix(entry, []byte("NOTIFY_SOCKET=")) || bytes.HasPrefix(entry, []byte("WATCHDOG_")) {
				t.Errorf("PID %d has inherited %s", pid, entry)
			}
		}
	}
}

// A service manager hears that the run starts, is ready, lives, and stops; and its
// watchdog hears nothing of one that is frozen.
func TestServiceIsNotified(t *testing.T) {
	managedPython(t)
	for kind, name := range map[string]string{
		"path": filepath.Join(newSandbox(t).dir, "notify"), "abstract": fmt.Sprintf("@snakepit-test-%d", os.Getpid()),
	} {
		t.Run(kind, func(t *testing.T) {
			s, id := newCrashSandbox(t), newRunID(t)
			s.beside(t, id)
			m := newServiceManager(t, name)
			service := m.service(s.command("start", "--workers", "2", "--run-id", id, "--ready-timeout", "40s", "--grace", "7s"))
			mustStart(t, service)
			heard := m.until("READY=1")
			list, err := parsePromised(s.mustRun(t, "", "list", "--run-id", id, "-o", "json"))
			if err != nil || list.Runs[0].Pools[0].Ready != 2 {
				t.Errorf("READY, and not all are: %+v, %v", list.Runs, err)
			}
			if !heardOf(heard, "EXTEND_TIMEOUT_USEC=70000000") || !heardOf(heard[len(heard)-1:], "STATUS=2/2 workers ready") {
				t.Errorf("while it started: %q", heard)
			}
			for range 3 {
				m.until("WATCHDOG=1")
			}
			asksNobody(t, childrenOf(t, service.Process.Pid)...)

			freeze(t, service.Process)
			m.silent("it is frozen")
			if err := service.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			m.until("WATCHDOG=1")
			s.mustRun(t, "", "stop", "default-1", "--run-id", id)
			m.until("STATUS=1/2 workers ready")

			if err := service.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if heard := m.until("STOPPING=1"); !heardOf(heard, "EXTEND_TIMEOUT_USEC=52000000") {
				t.Errorf("when it stopped: %q", heard)
			}
			m.until("STATUS=stopped; nobody is left")
			if err := service.Wait(); err != nil {
				t.Error(err)
			}
			m.silent("it has ended")
			if all := "\n" + strings.Join(m.heard, "\n"); strings.Count(all, "\nREADY=1") != 1 || strings.Count(all, "\nSTOPPING=1") != 1 {
				t.Errorf("not once ready, and once stopping: %s", all)
			}
			s.mustBeClean(t)
		})
	}
}

// freeze stops a process, as SIGSTOP does some time after it was sent.
func freeze(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // nothing tells
		_, state, err := kernelSays(p.Pid)
		if err == nil && state == "T" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("PID %d is in state %s, %v", p.Pid, state, err)
		}
	}
}

// The loop of a supervisor hangs, on a full pipe that nobody reads, and everything
// else of it goes on: the watchdog must not hear of that.
func TestHungSupervisorIsNotAlive(t *testing.T) {
	managedPython(t)
	s, id := newCrashSandbox(t), newRunID(t)
	s.beside(t, id)
	m := newServiceManager(t, filepath.Join(s.dir, "notify"))
	service := m.service(s.command("start", "--workers", "1", "--run-id", id, "-o", "json"))
	reader, writer := fullPipe(t)
	service.Stdout = writer
	mustStart(t, service)
	_ = writer.Close()
	m.until("READY=1")
	m.silent("its loop hangs")
	if out := s.mustRun(t, "", "call", "ping", "--run-id", id); out != "\"pong\"\n" {
		t.Errorf("only the loop should hang, but call says %q", out)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	m.until("WATCHDOG=1")
	s.mustRun(t, "", "stop", "--run-id", id)
	if err := service.Wait(); err != nil {
		t.Error(err)
	}
	s.mustBeClean(t)
}

func fullPipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	size, err := unix.FcntlInt(writer.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	return reader, writer
}

// A run in the background is not the service's, and neither speaks for it nor has
// anything of it.
func TestDetachedRunIsNoService(t *testing.T) {
	managedPython(t)
	s, id := newCrashSandbox(t), newRunID(t)
	s.beside(t, id)
	m := newServiceManager(t, filepath.Join(s.dir, "notify"))
	if out, err := m.service(s.command("start", "-d", "--workers", "1", "--run-id", id)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list, err := parsePromised(s.mustRun(t, "", "list", "--run-id", id, "-o", "json"))
	if err != nil {
		t.Fatal(err)
	}
	supervisor := list.Runs[0].Supervisor.PID
	asksNobody(t, append(childrenOf(t, supervisor), supervisor)...)
	s.mustRun(t, "", "stop", "--run-id", id)
	if text := m.next(time.Millisecond); text != "" {
		t.Errorf("it says %q", text)
	}
	s.mustBeClean(t)
}
