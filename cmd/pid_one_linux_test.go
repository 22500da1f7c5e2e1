package cmd

import (
	"bufio"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// strange is an adapter whose processes nobody can tell from others: without the
// run's variables, in a session of their own, with a parent that has ended.
const strange = `import os
import subprocess
from snakepit import Adapter, tool


class Strange(Adapter):
    @tool
    def spawn(self):
        subprocess.run(
            ["setsid", "--fork", "sleep", "3600"], check=True, env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    @tool
    def leave(self, count: int):
        for _ in range(count):
            subprocess.run(["setsid", "--fork", "sleep", "0.01"], check=True)
`

// A supervisor that is PID 1, as in a container: it starts, reaps strangers, and
// stops. To those outside its registry names PIDs that are other processes';
// they see its workers, and leave them alone.
func TestSupervisorIsPIDOne(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	s.write(t, "strange.py", strange)
	id := newRunID(t)
	beside := s.beside(t, id)
	host := startFirst(t, s, id)
	endNamesakes := beside.withNamesakes(t)

	s.mustRun(t, "", "restart", "default-0", "--run-id", id) // its forks become children of PID 1
	known := childrenOf(t, host.Process.Pid)
	if want := 3 + forkservers(s); len(known) != want {
		t.Fatalf("children of the supervisor: PID %v; want two workers, the guard, and %d forkserver", known, want-3)
	}
	s.mustRun(t, "", "call", "spawn", "--run-id", id)
	s.mustRun(t, "", "call", "spawn", "--run-id", id)
	strangers := slices.DeleteFunc(childrenOf(t, host.Process.Pid), func(pid int) bool { return slices.Contains(known, pid) })
	if len(strangers) != 2 {
		t.Fatalf("PID %v came to the supervisor, want two", strangers)
	}
	mustLeaveAlone(t, s, id, append(known, strangers...))

	if err := syscall.Kill(strangers[0], syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitReaped(t, strangers[0])
	out, err := s.command("stop", "--run-id", id).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No orphaned processes: supervision cleaned up") {
		t.Errorf("stop: %v: %s", err, out)
	}
	if err := host.Wait(); err != nil {
		t.Error("the supervisor:", err)
	}
	endNamesakes()
	s.mustBeClean(t)
}

// When PID 1 is killed, the kernel ends all of its namespace, the guard too. What
// is on disk is settled from outside.
func TestPIDOneIsKilled(t *testing.T) {
	t.Parallel()
	s := newCrashSandbox(t)
	s.write(t, "strange.py", strange)
	id := newRunID(t)
	s.beside(t, id)
	host := startFirst(t, s, id)
	children := childrenOf(t, host.Process.Pid)
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait() // it was killed
	for _, pid := range children {
		awaitReaped(t, pid)
	}
	s.mustRun(t, "", "orphans", "--run-id", id, "--exit-code")
	s.mustRun(t, "", "kill-orphans", "--run-id", id, "--yes")
	if out := s.mustRun(t, "", "list", "--run-id", id); !strings.Contains(out, "its supervisor died at") {
		t.Error(out)
	}
	s.mustBeClean(t)
}

// startFirst starts a supervisor as PID 1 and waits until it is ready.
func startFirst(t *testing.T, s *sandbox, id string) *exec.Cmd {
	t.Helper()
	host := asFirst(t, s.command("start", "--workers", "2", "--standby", "0", "--run-id", id, "--adapter", "strange:Strange"))
	stderr, err := host.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill(); _ = host.Wait() })
	said := bufio.NewReader(stderr)
	awaitLine(t, said, "Ctrl-C")
	go func() { _, _ = io.Copy(io.Discard, said) }() // it must not block
	out := s.mustRun(t, "", "list", "--run-id", id, "-o", "json")
	list, err := parsePromised(out)
	if err != nil || list.Runs[0].State != "running" || list.Runs[0].Supervisor.PID != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	return host
}

// mustLeaveAlone looks from outside: with the files of the run, and from a state
// directory that does not have them.
func mustLeaveAlone(t *testing.T, s *sandbox, id string, pids []int) {
	t.Helper()
	var seen []seenProcess
	for _, pid := range pids {
		p, err := seeProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, p)
	}
	for name, from := range map[string]*sandbox{"the same state directory": s, "another state directory": newSandbox(t)} {
		out, err := from.command("kill-orphans", "--run-id", id, "--yes", "--strays", "--grace", "0").CombinedOutput()
		if exitsWith("6", err) != nil {
			t.Errorf("kill-orphans, from %s: %v: %s", name, err, out)
		}
		if out := from.mustRun(t, "", "orphans", "--run-id", id, "--exit-code"); out != "" {
			t.Errorf("orphans, from %s: %s", name, out)
		}
	}
	for _, p := range seen {
		if err := p.unharmed(); err != nil {
			t.Errorf("a process of the run was harmed from outside: %v", err)
		}
	}
}
