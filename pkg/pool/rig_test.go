package pool

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// memory is an Output that keeps everything, and wakes those who wait for a
// line.
type memory struct {
	mu     sync.Mutex // guards text and more
	text   bytes.Buffer
	more   chan struct{} // closed and replaced at each write
	closed chan struct{}
}

func newMemory() *memory { return &memory{more: make(chan struct{}), closed: make(chan struct{})} }

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.more)
	m.more = make(chan struct{})
	return m.text.Write(p)
}

func (m *memory) Close() error { close(m.closed); return nil }

func (m *memory) Tail() []string { return m.lines() }

func (m *memory) lines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Split(strings.TrimSuffix(m.text.String(), "\n"), "\n")
}

// launched is a process of a test, and what it printed.
type launched struct {
	*child
	output *memory
}

// rig makes a launcher whose workers play a role, and closes it in the end.
func rig(t *testing.T, role string) (*ExecLauncher, chan *memory) {
	t.Helper()
	outputs := make(chan *memory, 100)
	l, err := NewExecLauncher(roleCommand(role), func(Spec) (Output, error) {
		m := newMemory()
		outputs <- m
		return m, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, outputs
}

func roleCommand(role string) func(Spec) Command {
	return func(s Spec) Command {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		return Command{Path: self, Env: append(os.Environ(),
			roleEnv+"="+role, portEnv+"="+strconv.Itoa(s.Port), "GORACE=atexit_sleep_ms=0")}
	}
}

// launch launches one worker, which is killed and waited for in the end.
func launch(t *testing.T, role string, port int) launched {
	t.Helper()
	l, outputs := rig(t, role)
	return launchWith(t, l, outputs, port)
}

func launchWith(t *testing.T, l *ExecLauncher, outputs chan *memory, port int) launched {
	t.Helper()
	p, err := l.Launch(t.Context(), Spec{Worker: "default-0", Host: "127.0.0.1", Port: port})
	if err != nil {
		t.Fatal(err)
	}
	c := p.(*child)
	t.Cleanup(func() {
		_ = c.SignalGroup(syscall.SIGKILL)
		await(t, c.done)
		if _, err := c.EndGroup(context.Background(), 0); err != nil {
			t.Error(err)
		}
		_ = c.ready.Close()
		await(t, c.printed)
	})
	return launched{c, <-outputs}
}

// soon is the time within which anything happens that works at all.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func await(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-soon(t).Done():
		t.Fatal("it takes for ever")
	}
}

// word waits for a line "what NUMBER" and returns the number.
func (p launched) word(t *testing.T, what string) int {
	t.Helper()
	for {
		p.output.mu.Lock()
		more := p.output.more
		p.output.mu.Unlock()
		for _, line := range p.output.lines() {
			if text, found := strings.CutPrefix(line, what+" "); found {
				number, err := strconv.Atoi(text)
				if err != nil {
					t.Fatal(err)
				}
				return number
			}
		}
		await(t, more)
	}
}

func mustBeReady(t *testing.T, p launched) {
	t.Helper()
	said, err := p.Readiness(soon(t))
	if err != nil || !said.Ready || said.PID != p.ID().PID {
		t.Fatalf("PID %d says %+v, %v", p.ID().PID, said, err)
	}
}

// hold opens a living process, so that its end can be waited for.
func hold(t *testing.T, pid int) *procscan.Handle {
	t.Helper()
	id, err := procscan.Lookup(pid)
	if err != nil {
		t.Fatal(err)
	}
	h, err := procscan.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func freePort(t *testing.T) int {
	t.Helper()
	ports, err := portcheck.FreePorts("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}
