package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// A dead worker's PID is another process's by now, which leads a session as a
// worker does, and even has its arguments. The registry still names that PID.
// Nobody ends the new one.
func TestTakenPID(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	for name, tt := range map[string]struct {
		layers string
		end    func(*testing.T, *sandbox, *crashRun)
	}{
		"kill-orphans": {"none", func(t *testing.T, s *sandbox, r *crashRun) {
			s.mustRun(t, "", "kill-orphans", "--run-id", r.id, "--yes", "--strays")
		}},
		"next start": {"none", func(t *testing.T, s *sandbox, r *crashRun) {
			s.mustRun(t, "", "start", "-d", "--workers", "1", "--run-id", r.id+"-next")
			s.mustRun(t, "", "stop", "--run-id", r.id+"-next")
		}},
		"guard": {"guard", func(t *testing.T, s *sandbox, r *crashRun) {
			if err := r.guard.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if err := r.guard.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newCrashSandbox(t)
			r := startCrashRun(t, s, newRunID(t), tt.layers, 2)
			if r.guard != nil { // it has to wait until everything is in its place
				if err := r.guard.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			args := argumentsOf(t, r.workers[0].ID().PID)
			for _, p := range []*procscan.Handle{r.supervisor, r.workers[0]} {
				r.mustDie(t, p)
				reap(t, p.ID().PID)
			}
			taken := takePID(t, s, r.workers[0].ID(), args)
			mustBeRegistered(t, s, r)
			tt.end(t, s, r)
			r.awaitWorkers(t)
			if err := taken.unharmed(); err != nil {
				t.Errorf("the process that took the dead worker's PID was harmed: %v", err)
			}
		})
	}
}

func argumentsOf(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// reap is the duty of PID 1, which has no other children than those it is given
// and those it waits for.
func reap(t *testing.T, pid int) {
	t.Helper()
	if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
		t.Fatalf("cannot reap PID %d: %v", pid, err)
	}
}

// takePID starts a process that has the PID of the dead one, and its arguments
// but for the path of the script.
func takePID(t *testing.T, s *sandbox, dead procscan.ID, args []string) seenProcess {
	t.Helper()
	script := filepath.Join(s.dir, "grpc_server.py")
	s.write(t, "grpc_server.py", "read x\n")
	args = slices.Clone(args)
	args[1] = script
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	for range 200 { // a thread of ours may take the number first
		// The kernel goes on from the last one that it has given (proc_sys_kernel(5)).
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(dead.PID-1)), 0); err != nil {
			t.Skipf("the next PID cannot be chosen here: %v", err)
		}
		cmd := exec.Command("sh")
		cmd.Args, cmd.Stdin = args, in
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if cmd.Process.Pid != dead.PID {
			_, _ = cmd.Process.Kill(), cmd.Wait()
			continue
		}
		t.Cleanup(func() { out.Close(); _ = cmd.Wait() })
		return mustTake(t, dead)
	}
	t.Fatalf("PID %d is not to be had", dead.PID)
	return seenProcess{}
}

// mustTake fails if the new process is the old one to those who look closely.
func mustTake(t *testing.T, dead procscan.ID) seenProcess {
	t.Helper()
	seen, err := seeProcess(dead.PID)
	if err != nil {
		t.Fatal(err)
	}
	if seen.started == strconv.FormatUint(dead.Start, 10) {
		t.Fatalf("PID %d has the start time of the dead worker", dead.PID)
	}
	return seen
}

// mustBeRegistered: what is there to mislead those who believe in numbers.
func mustBeRegistered(t *testing.T, s *sandbox, r *crashRun) {
	t.Helper()
	entries, err := rundir.ReadRegistry(filepath.Join(s.runs(), r.id))
	dead := r.workers[0].ID()
	if err != nil || !slices.ContainsFunc(entries, func(e rundir.Entry) bool { return e.PID == dead.PID && e.Start == dead.Start }) {
		t.Fatalf("the registry does not name PID %d, started at %d: %+v, %v", dead.PID, dead.Start, entries, err)
	}
}
