package pool

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What a child process is asked, and told.

func (c *child) ID() procscan.ID       { return c.id }
func (c *child) Done() <-chan struct{} { return c.done }
func (c *child) Exit() Exit            { return c.exit }

// StartedBy implements Process.
func (c *child) StartedBy() StartMethod { return c.method }

// run follows a process that has been started.
func (c *child) run() {
	go c.copyOutput(c.prints)
	go c.awaitExit()
}

// discard gives back what was made for a process that did not come to be.
func (c *child) discard() error {
	_ = c.ready.Close() // nobody has written to it; a foreign program has none
	return errors.Join(c.prints.Close(), c.output.Close())
}

// copyOutput passes on what is printed until the last writer has gone, which
// may be a child of the worker that outlives it.
func (c *child) copyOutput(from *os.File) {
	defer close(c.printed)
	defer from.Close()
	var to io.Writer = lenient{c.output}
	if c.watch != nil {
		to = io.MultiWriter(to, c.watch)
		defer c.watch.look() // the last line, which may have no end
	}
	// Behind a plain Reader, or the file would bring a larger buffer of its own.
	_, _ = io.CopyBuffer(to, struct{ io.Reader }{from}, make([]byte, printBuffer))
	_ = c.output.Close()
}

// printBuffer is what is read at a time of what a worker prints, in bytes. There is one
// for each worker, and most print nothing.
const printBuffer = 4 << 10

// lenient goes on when what is written is lost: a log that cannot be written
// must not break the pipe of a worker that serves.
type lenient struct{ io.Writer }

func (l lenient) Write(p []byte) (int, error) {
	_, _ = l.Writer.Write(p)
	return len(p), nil
}

// Tail waits a moment for the last words to arrive.
func (c *child) Tail() []string {
	select {
	case <-c.printed:
	case <-time.After(250 * time.Millisecond):
	}
	return c.output.Tail()
}

// Readiness implements Process.
func (c *child) Readiness(ctx context.Context) (Readiness, error) {
	if c.how.foreign() {
		return c.awaitServing(ctx)
	}
	defer c.ready.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.ready.SetReadDeadline(time.Now()) })
	defer stop()
	said, err := parseReadiness(c.ready)
	if ctx.Err() != nil {
		return Readiness{}, context.Cause(ctx)
	}
	return said, err
}

// awaitExit reaps the process. It learns of the end first and reaps under the
// lock, so that no signal can go to a number that is free again.
func (c *child) awaitExit() {
	defer close(c.done)
	awaitUnreaped(c.id)
	c.mu.Lock()
	state, _ := c.process.Wait() // without a state it was not ours to wait for
	c.reaped = true
	c.endedAt = time.Now()
	c.exit = exitOf(state)
	c.exit.Expected = c.asked
	mayBeMemory := c.exit.Signal == syscall.SIGKILL && !c.killed
	c.mu.Unlock()
	c.exit.OutOfMemory = mayBeMemory && c.launcher.memory.explain(c.memory)
	c.launcher.Forget(c.id.PID)
}

// exitOf is -1 for a process that somebody else waited for.
func exitOf(state *os.ProcessState) Exit {
	if state == nil {
		return Exit{Code: -1}
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return Exit{Signal: ws.Signal()}
	}
	return Exit{Code: state.ExitCode()}
}

// SignalGroup implements Process.
func (c *child) SignalGroup(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return procscan.ErrGone
	}
	err := syscall.Kill(-c.id.PID, sig)
	if errors.Is(err, syscall.ESRCH) {
		return procscan.ErrGone
	}
	if err == nil {
		c.asked = c.asked || sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == syscall.SIGKILL
		c.killed = c.killed || sig == syscall.SIGKILL
	}
	return err
}

// DumpStacks implements Process: the worker registers SIGUSR1 with Python's
// faulthandler. A foreign program would end by it, so the error is
// errors.ErrUnsupported.
func (c *child) DumpStacks() error {
	if c.how.foreign() {
		return errors.ErrUnsupported
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return procscan.ErrGone
	}
	return syscall.Kill(c.id.PID, syscall.SIGUSR1)
}

// RSS is the resident memory of the process, in bytes, without that of its
// children. The error is procscan.ErrGone when it has ended.
func (c *child) RSS() (uint64, error) {
	bytes, _, err := procscan.Usage(c.id)
	return bytes, err
}

// EndGroup implements Process.
func (c *child) EndGroup(ctx context.Context, grace time.Duration) ([]procscan.Ended, error) {
	return c.endLeftovers(ctx, grace)
}

// endGroup knows that the leader is gone, so that the group's number is safe only
// as long as the group is not empty: each member is checked and signalled as a
// process of its own.
func (c *child) endGroup(ctx context.Context, opts procscan.EndOptions) ([]procscan.Ended, error) {
	if err := syscall.Kill(-c.id.PID, 0); errors.Is(err, syscall.ESRCH) {
		return nil, nil // nobody left, the usual case
	}
	return procscan.EndGroup(ctx, c.id, c.endedAt, opts)
}

// killWait is how long the kernel may take to end a process after KILL.
const killWait = 5 * time.Second
