package cmd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"
)

// onTerminal is a program in a terminal of its own, and what that shows.
type onTerminal struct {
	t             *testing.T
	cmd           *exec.Cmd
	keyboard, tty *os.File // the end of the person, and that of the program
	before        *term.State
	ended         chan error

	mu     sync.Mutex // guards the screen
	screen *vt.Emulator
	shown  chan struct{} // has something when the screen has changed
}

// showTop starts top in a terminal. What is left of it ends with the test.
func (s *sandbox) showTop(t *testing.T, args ...string) *onTerminal {
	t.Helper()
	keyboard, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &onTerminal{
		t: t, cmd: s.command(append([]string{"top"}, args...)...), keyboard: keyboard, tty: tty,
		ended: make(chan error, 1), screen: vt.NewEmulator(80, 24), shown: make(chan struct{}, 1),
	}
	if p.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	p.resize(80, 24)
	p.cmd.Env = append(p.cmd.Env, "TERM=xterm-256color")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var copying sync.WaitGroup
	copying.Go(p.draw)
	copying.Go(func() { _, _ = io.Copy(keyboard, p.screen) }) // what a terminal answers when it is asked
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has usually ended
		tty.Close()
		keyboard.Close()
		p.screen.Close()
		copying.Wait()
	})
	return p
}

// draw shows what the program writes.
func (p *onTerminal) draw() {
	buffer := make([]byte, 4096)
	for {
		n, err := p.keyboard.Read(buffer)
		p.mu.Lock()
		_, _ = p.screen.Write(buffer[:n])
		p.mu.Unlock()
		select {
		case p.shown <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (p *onTerminal) resize(width, height int) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.screen.Resize(width, height)
	if err := pty.Setsize(p.keyboard, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *onTerminal) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// await waits until all of the texts are on the screen at once.
func (p *onTerminal) await(texts ...string) {
	p.t.Helper()
	late := time.After(60 * time.Second)
	for {
		text := p.text()
		missing := slices.DeleteFunc(slices.Clone(texts), func(want string) bool { return strings.Contains(text, want) })
		if len(missing) == 0 {
			return
		}
		select {
		case <-p.shown:
		case err := <-p.ended:
			p.t.Fatalf("it has ended (%v) without %q:\n%s", err, missing, p.text())
		case <-late:
			p.t.Fatalf("it does not show %q:\n%s", missing, text)
		}
	}
}

// isAlone says that the screen is the program's own, with no cursor on it.
func (p *onTerminal) isAlone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.IsAltScreen() && p.screen.CursorHidden()
}

func (p *onTerminal) press(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keyboard, keys); err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits for the end of the program, and fails unless the terminal is then as
// it was before.
func (p *onTerminal) leaves() {
	p.t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			p.t.Errorf("it ended with: %v", err)
		}
	case <-time.After(60 * time.Second):
		p.t.Fatal("it goes on")
	}
	after, err := term.GetState(int(p.tty.Fd()))
	if err != nil {
		p.t.Fatal(err)
	}
	if !reflect.DeepEqual(p.before, after) {
		p.t.Errorf("the terminal is in another mode: %+v, was %+v", after, p.before)
	}
	// What it wrote last is on its way: a line of our own comes after it.
	if _, err := io.WriteString(p.tty, "the prompt"); err != nil {
		p.t.Fatal(err)
	}
	p.ended <- nil
	for late := time.After(60 * time.Second); !strings.Contains(p.text(), "the prompt"); {
		select {
		case <-p.shown:
		case <-late:
			p.t.Fatal("nothing is shown any more")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.screen.IsAltScreen() || p.screen.CursorHidden() {
		p.t.Errorf("alternate screen: %v, hidden cursor: %v", p.screen.IsAltScreen(), p.screen.CursorHidden())
	}
}

// TestTopOnATerminal watches a real run until its supervisor is killed.
func TestTopOnATerminal(t *testing.T) {
	s := newCrashSandbox(t)
	run := startCrashRun(t, s, newRunID(t), "", 2)
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
	run := startCrashRun(t, s, newRunID(t), "", 2)
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
