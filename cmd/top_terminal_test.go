package cmd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

func (s *sandbox) showTop(t *testing.T, args ...string) *onTerminal {
	t.Helper()
	return s.onTerminal(t, 80, 24, append([]string{"top"}, args...)...)
}

// TestTopOnATerminal watches a real run until its supervisor is killed.
func TestTopOnATerminal(t *testing.T) {
	s := newCrashSandbox(t)
	run := startCrashRun(t, s, newRunID(t), "", 2, "--standby", "0") // nothing happens by itself
	before := filesIn(t, s.runs())
	top := s.showTop(t, "--interval", "100ms")
	top.await(run.id, "2/2 ready", "default-0", "default-1", "HEALTH", "RESTARTS")
	if diff := cmp.Diff(before, filesIn(t, s.runs())); diff != "" {
		t.Errorf("looking changed files (-before +after):\n%s", diff)
	}

	s.mustRun(t, "", "call", "log", `{"message": "hello, top"}`, "--worker", "default-1", "--run-id", run.id)
	top.press("jl")
	top.await("logs of "+run.id+"/default-1", "hello, top")
	s.mustRun(t, "", "call", "log", `{"message": "and more"}`, "--worker", "default-1", "--run-id", run.id)
	top.await("and more")
	top.press("r")
	top.await("restart default-1 (PID", "y yes")
	top.press("y")
	top.await("ready  default-1  PID")
	top.press("e")
	top.await("events of "+run.id+"/default-1", "request")
	top.resize(60, 15)
	top.await("events of "+run.id+"/default-1 ────", "request")
	top.resize(100, 30)
	top.await("UPTIME", "x X stop")

	run.kill(t, run.supervisor)
	top.await("○ ended  "+run.id, "snakepit orphans --run-id")
	second := startCrashRun(t, s, newRunID(t), "", 1)
	top.await(second.id, "1/1 ready")
	top.press("q")
	top.leaves()
	s.mustRun(t, "", "stop", "--run-id", second.id)
	s.mustBeClean(t)
}

// TestTopStopsARun: the run, and what it left, which is nothing.
func TestTopStopsARun(t *testing.T) {
	s := newCrashSandbox(t)
	run := startCrashRun(t, s, newRunID(t), "", 2, "--standby", "0") // nothing happens by itself
	top := s.showTop(t, "--run-id", run.id)
	top.await("default-1")
	top.press("x")
	top.await("stop default-0 (PID")
	top.press("y")
	top.await("default-0  PID", "exit 0 after TERM")
	top.press("X")
	top.await("stop the whole run " + run.id + " with its 2 workers?")
	top.press("y")
	top.await("No orphaned processes", "○ ended")
	top.press("q")
	top.leaves()
	s.mustBeClean(t)
}

// TestTopHangingSupervisorOnATerminal: nothing waits for it but its own line.
func TestTopHangingSupervisorOnATerminal(t *testing.T) {
	s := newCrashSandbox(t)
	run := startCrashRun(t, s, newRunID(t), "", 1)
	top := s.showTop(t, "--interval", "100ms")
	top.await("1/1 ready")
	if err := run.supervisor.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.supervisor.Signal(syscall.SIGCONT) })
	top.press("?")
	top.await("any key goes back")
	top.press(" ")
	top.await("did not answer within 2s", "◌ unknown")
	if err := run.supervisor.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	top.await("● running")
	top.press("\x03")
	top.leaves()
	s.mustRun(t, "", "stop", "--run-id", run.id)
	s.mustBeClean(t)
}

// TestTopPutsTheTerminalBack however it ends.
func TestTopPutsTheTerminalBack(t *testing.T) {
	s := newSandbox(t)
	for _, end := range []struct {
		name string
		do   func(*onTerminal) error
	}{
		{"q", func(p *onTerminal) error { p.press("q"); return nil }},
		{"Ctrl-C", func(p *onTerminal) error { p.press("\x03"); return nil }},
		{"TERM", func(p *onTerminal) error { return p.cmd.Process.Signal(syscall.SIGTERM) }},
		{"INT", func(p *onTerminal) error { return p.cmd.Process.Signal(syscall.SIGINT) }},
		{"HUP", func(p *onTerminal) error { return p.cmd.Process.Signal(syscall.SIGHUP) }},
		{"QUIT", func(p *onTerminal) error { return p.cmd.Process.Signal(syscall.SIGQUIT) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			top := s.showTop(t)
			top.await("no run is alive; start one", "? help")
			if !top.isAlone() {
				t.Error("it draws over what is on the screen, or shows a cursor")
			}
			if err := end.do(top); err != nil {
				t.Fatal(err)
			}
			top.leaves()
		})
	}
}

// TestTopWithoutATerminal: one that goes ends top, one that is not there is refused.
func TestTopWithoutATerminal(t *testing.T) {
	s := newSandbox(t)
	top := s.showTop(t)
	top.await("no run is alive")
	top.tty.Close()
	top.keyboard.Close()
	select {
	case <-top.ended:
	case <-time.After(60 * time.Second):
		t.Error("it goes on without anybody to see it")
	}

	for name, streams := range map[string]func(*exec.Cmd, *os.File){
		"neither": func(*exec.Cmd, *os.File) {},
		"no keys": func(cmd *exec.Cmd, tty *os.File) { cmd.Stdout = tty },
		"no eyes": func(cmd *exec.Cmd, tty *os.File) { cmd.Stdin = tty },
		"dumb": func(cmd *exec.Cmd, tty *os.File) {
			cmd.Stdin, cmd.Stdout, cmd.Env = tty, tty, append(cmd.Env, "TERM=dumb")
		},
	} {
		keyboard, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		cmd := s.command("top")
		var said strings.Builder
		cmd.Stderr = &said
		streams(cmd, tty)
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.Contains(said.String(), "snakepit list --watch") {
			t.Errorf("%s: %v, %q", name, err, said.String())
		}
		tty.Close()
		keyboard.Close()
	}
}

// TestTopScreenIsLeft: the library writes on when nobody sees it.
func TestTopScreenIsLeft(t *testing.T) {
	eyes, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, leave := context.WithCancelCause(t.Context())
	defer leave(nil)
	screen := &topScreen{File: out, leave: leave}
	if _, err := io.WriteString(screen, "seen"); err != nil || ctx.Err() != nil {
		t.Fatal(err, ctx.Err())
	}
	eyes.Close()
	if _, err := io.WriteString(screen, "unseen"); !errors.Is(err, syscall.EPIPE) || !errors.Is(context.Cause(ctx), syscall.EPIPE) {
		t.Errorf("%v; top ends because of: %v", err, context.Cause(ctx))
	}
}

// filesIn are the contents of all files below a directory.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
