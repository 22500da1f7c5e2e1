package cmd

import (
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
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

// onTerminal starts a command in a terminal of so many cells. What is left of it ends
// with the test.
func (s *sandbox) onTerminal(t *testing.T, width, height int, args ...string) *onTerminal {
	t.Helper()
	keyboard, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &onTerminal{
		t: t, cmd: s.command(args...), keyboard: keyboard, tty: tty,
		ended: make(chan error, 1), screen: vt.NewEmulator(width, height), shown: make(chan struct{}, 1),
	}
	if p.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	p.resize(width, height)
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
		_ = p.screen.InputPipe().(io.Closer).Close() // Close itself is no match for a Read
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
			p.t.Errorf("it ended with: %v\n%s", err, p.text())
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
	p.settle()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.screen.IsAltScreen() || p.screen.CursorHidden() {
		p.t.Errorf("alternate screen: %v, hidden cursor: %v", p.screen.IsAltScreen(), p.screen.CursorHidden())
	}
}

// settle waits until everything is on the screen that the program has written, which
// has ended: a line of our own comes after it.
func (p *onTerminal) settle() {
	p.t.Helper()
	if _, err := io.WriteString(p.tty, "\r\n(the end)"); err != nil {
		p.t.Fatal(err)
	}
	for late := time.After(60 * time.Second); !strings.Contains(p.text(), "(the end)"); {
		select {
		case <-p.shown:
		case <-late:
			p.t.Fatal("nothing is shown any more")
		}
	}
}
