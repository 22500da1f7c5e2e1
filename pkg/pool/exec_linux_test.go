package pool

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// A worker inherits what it is meant to have and nothing else, and its writes
// wait when the pipe is full: Python would lose what does not fit.
func TestDescriptorsOfAWorker(t *testing.T) {
	// What the test itself was given, by a shell or a CI system, is not the
	// launcher's doing.
	for fd := 3; fd < 1024; fd++ {
		syscall.CloseOnExec(fd)
	}
	for _, tt := range []struct {
		without []Layer
		want    map[int]string
	}{
		{nil, map[int]string{0: "reads", 1: "writes", 2: "writes", 3: "writes", 4: "reads"}},
		{[]Layer{ParentDeathSignal}, map[int]string{0: "reads", 1: "writes", 2: "writes", 3: "writes", 4: "reads"}},
		{[]Layer{Lifeline}, map[int]string{0: "reads", 1: "writes", 2: "writes", 3: "writes"}},
	} {
		if diff := cmp.Diff(tt.want, descriptorsOfAWorker(t, tt.without...)); diff != "" {
			t.Errorf("descriptors without %v (-want +got):\n%s", tt.without, diff)
		}
	}
}

func descriptorsOfAWorker(t *testing.T, without ...Layer) map[int]string {
	t.Helper()
	output := make(chan *memory, 2)
	l, err := NewExecLauncher(
		// A Go program would have descriptors of its own.
		func(Spec) Command {
			return Command{Path: "/bin/sh", Args: []string{"-c", "echo child $$; kill -STOP $$"}}
		},
		func(Spec) (Output, error) { m := newMemory(); output <- m; return m, nil }, without...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	launchWith(t, l, output, 0).word(t, "child") // a sibling
	pid := launchWith(t, l, output, 0).word(t, "child")

	got := map[int]string{}
	dir := fmt.Sprintf("/proc/%d/fdinfo", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[fd] = mode(t, string(text))
	}
	return got
}

// mode is the access mode in a proc_pid_fdinfo(5), and whether it never waits.
func mode(t *testing.T, info string) string {
	t.Helper()
	var position, flags int
	if _, err := fmt.Sscanf(info, "pos: %d\nflags: %o\n", &position, &flags); err != nil {
		t.Fatalf("%q: %v", info, err)
	}
	text := map[int]string{unix.O_RDONLY: "reads", unix.O_WRONLY: "writes"}[flags&unix.O_ACCMODE]
	if flags&unix.O_NONBLOCK != 0 {
		text += " without waiting"
	}
	return text
}

// 50 launches leave the launcher with the descriptors that it had.
func TestLauncherLeaksNoDescriptors(t *testing.T) {
	l, outputs := rig(t, "die-early")
	run := func() {
		p := launchWith(t, l, outputs, 0)
		_, _ = p.Readiness(soon(t))
		await(t, p.Done())
		await(t, p.printed)
	}
	run() // what the runtime opens once
	before := openDescriptors(t)
	for range 50 {
		run()
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
	if len(l.children) != 0 {
		t.Errorf("%d children are still known", len(l.children))
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// hostRoles are programs that launch workers, so that a test can kill them.
func hostRoles() map[string]func() {
	return map[string]func(){"host": host, "reaper": reaper, "reaper-queue": reaperQueue, "adopter": adopter, "oom-host": oomHost, "oom-eater": oomEater}
}

// hostWorkers names the roles that a host launches, in their order.
const hostWorkers = "POOL_TEST_WORKERS"

// host launches workers, says their PIDs, and waits to be killed.
func host() {
	roles := strings.Fields(os.Getenv(hostWorkers))
	l, err := NewExecLauncher(func(s Spec) Command { return roleCommand(s.Worker)(s) },
		func(Spec) (Output, error) { return newMemory(), nil })
	if err != nil {
		os.Exit(94)
	}
	for _, role := range roles {
		p, err := l.Launch(context.Background(), Spec{Worker: role})
		if err != nil {
			os.Exit(94)
		}
		if said, err := p.Readiness(context.Background()); err != nil || !said.Ready {
			os.Exit(93)
		}
		fmt.Println(p.ID().PID)
	}
	select {}
}

// startHost starts a program that launches workers, and returns it with a hold
// on each of them.
func startHost(t *testing.T, roles ...string) (*exec.Cmd, []*procscan.Handle) {
	t.Helper()
	c := roleCommand("host")(Spec{})
	cmd := exec.Command(c.Path)
	cmd.Env = append(c.Env, hostWorkers+"="+strings.Join(roles, " "))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var workers []*procscan.Handle
	for lines := bufio.NewScanner(out); len(workers) < len(roles) && lines.Scan(); {
		var pid int
		if _, err := fmt.Sscan(lines.Text(), &pid); err != nil {
			t.Fatal(err)
		}
		h := hold(t, pid)
		t.Cleanup(func() {
			_ = h.Signal(syscall.SIGKILL)
			if err := h.Wait(soon(t)); err != nil {
				t.Error(err)
			}
		})
		workers = append(workers, h)
	}
	if len(workers) < len(roles) {
		t.Fatalf("%d of %d workers were launched", len(workers), len(roles))
	}
	return cmd, workers
}

// Each layer alone, with siblings alive that keep all that they inherited: a
// copy of the lifeline's other end among it would keep it open.
func TestWorkersEndWithTheirLauncher(t *testing.T) {
	for _, tt := range []struct{ layer, role string }{
		{"lifeline", "only-lifeline"},
		{"parent-death signal", "only-term"},
	} {
		t.Run(tt.layer, func(t *testing.T) {
			cmd, workers := startHost(t, "deaf", tt.role, "deaf")
			for _, w := range workers {
				if gone, err := w.Gone(); gone || err != nil {
					t.Fatalf("PID %d is gone before its launcher: %v", w.ID().PID, err)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := workers[1].Wait(soon(t)); err != nil {
				t.Errorf("it outlives its launcher: %v", err)
			}
			for _, i := range []int{0, 2} {
				if gone, _ := workers[i].Gone(); gone {
					t.Error("a deaf worker is gone; the test tests nothing")
				}
			}
		})
	}
}

// The parent-death signal comes when a thread ends, not a process: that of the
// goroutine which launches must not be the one.
func TestEndOfAThreadEndsNoWorker(t *testing.T) {
	l, outputs := rig(t, "only-term")
	var p launched
	var thread int
	onDyingThread(func() {
		thread = unix.Gettid()
		p = launchWith(t, l, outputs, 0)
	})
	mustBeReady(t, p)
	for unix.Tgkill(os.Getpid(), thread, 0) == nil {
		time.Sleep(time.Millisecond) // nothing tells of a thread's end
	}
	brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := hold(t, p.ID().PID).Wait(brief); err == nil {
		t.Error("it ended with the thread")
	}
}

// onDyingThread runs f on a thread that ends afterwards. The first thread of a
// process is no such one: the runtime keeps it.
func onDyingThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			onDyingThread(f)
			runtime.UnlockOSThread()
			return
		}
		f() // the thread is locked, and so ends with this goroutine
	}()
	<-done
}
