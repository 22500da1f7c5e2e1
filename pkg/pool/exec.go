package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Command is the program of a worker.
type Command struct {
	Path string   // absolute
	Args []string // without the program's name
	Env  []string // all of it, KEY=value
	Dir  string   // "": the caller's
}

// Output takes what a worker process prints, on either stream.
type Output interface {
	io.WriteCloser
	// Tail is the last lines that were written.
	Tail() []string
}

// ExecLauncher launches workers as child processes. A worker gets
//   - a session and a group of its own, so that a terminal's Ctrl-C does not
//     reach it and a signal to its group reaches its children;
//   - its ready channel, the descriptor in SNAKEPIT_READY_FD;
//   - its lifeline, the descriptor in SNAKEPIT_LIFELINE_FD: a pipe that ends
//     when this process ends, however it ends;
//   - on Linux, SIGTERM from the kernel when this process dies.
//
// The last two are layers, each of which alone ends the workers of a dead
// supervisor.
type ExecLauncher struct {
	command func(Spec) Command
	output  func(Spec) (Output, error)
	starts  chan func()
	without []Layer

	lifeline, keep *os.File // read end for the workers; write end, ours alone

	mu       sync.Mutex       // guards children, and is held while one is born
	children map[int]struct{} // PIDs that are ours to wait for

	adopts bool // see TakeAdopted
}

// Layer is a way in which workers learn that the process of their launcher has
// ended.
type Layer string

// The layers of an ExecLauncher.
const (
	Lifeline          Layer = "lifeline"
	ParentDeathSignal Layer = "pdeathsig" // Linux only
)

// NewExecLauncher makes a launcher, without the layers named, which is for tests
// of the others. It keeps one thread for starting
// processes, because the kernel's parent-death signal comes when the *thread*
// that started a process ends (https://github.com/golang/go/issues/27505).
// Close it when no worker is left.
func NewExecLauncher(command func(Spec) Command, output func(Spec) (Output, error), without ...Layer) (*ExecLauncher, error) {
	lifeline, keep, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make the lifeline: %w", err)
	}
	l := &ExecLauncher{
		command: command, output: output, starts: make(chan func()), without: without,
		lifeline: lifeline, keep: keep, children: make(map[int]struct{}),
	}
	go func() {
		runtime.LockOSThread() // for the life of the thread: never unlocked
		for start := range l.starts {
			start()
		}
	}()
	return l, nil
}

// Close ends the starting thread and the lifeline: workers that live on end
// themselves.
func (l *ExecLauncher) Close() error {
	close(l.starts)
	return errors.Join(l.keep.Close(), l.lifeline.Close())
}

// Launch implements Launcher.
func (l *ExecLauncher) Launch(_ context.Context, spec Spec) (Process, error) {
	output, err := l.output(spec)
	if err != nil {
		return nil, fmt.Errorf("cannot launch %s: %w", spec.Worker, err)
	}
	p, err := l.launch(spec, output)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot launch %s: %w", spec.Worker, err), output.Close())
	}
	return p, nil
}

func (l *ExecLauncher) launch(spec Spec, output Output) (*child, error) {
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer readyW.Close()
	printR, printW, err := os.Pipe()
	if err != nil {
		readyR.Close()
		return nil, err
	}
	defer printW.Close()

	command := l.command(spec)
	cmd := exec.Command(command.Path, command.Args...)
	cmd.Dir = command.Dir
	cmd.Env = append(slices.Clip(command.Env), "SNAKEPIT_READY_FD=3")
	cmd.Stdout, cmd.Stderr = printW, printW
	cmd.ExtraFiles = []*os.File{readyW}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !slices.Contains(l.without, Lifeline) {
		cmd.Env = append(cmd.Env, "SNAKEPIT_LIFELINE_FD=4")
		cmd.ExtraFiles = append(cmd.ExtraFiles, l.lifeline)
	}
	if !slices.Contains(l.without, ParentDeathSignal) {
		guardAgainstParentDeath(cmd.SysProcAttr)
	}

	c := &child{launcher: l, runID: spec.RunID, worker: spec.Worker, cmd: cmd, output: output, ready: readyR, done: make(chan struct{}), printed: make(chan struct{})}
	if err := l.start(c); err != nil {
		readyR.Close()
		printR.Close()
		return nil, err
	}
	go c.copyOutput(printR)
	go c.awaitExit()
	return c, nil
}

// start has the starting thread start the child. It is known before anybody
// could take it for a stranger.
func (l *ExecLauncher) start(c *child) error {
	result := make(chan error, 1)
	l.starts <- func() { result <- l.Keep(c.cmd) }
	if err := <-result; err != nil {
		return err
	}
	var err error
	if c.id, err = procscan.Lookup(c.cmd.Process.Pid); err != nil {
		// It has ended already; as our child it keeps its PID until it is reaped.
		c.id = procscan.ID{PID: c.cmd.Process.Pid}
	}
	return nil
}

// Keep starts a command and keeps ReapStrangers from reaping it. Call Forget
// when it was waited for.
func (l *ExecLauncher) Keep(cmd *exec.Cmd) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	l.children[cmd.Process.Pid] = struct{}{}
	return nil
}

// Forget is the end of Keep.
func (l *ExecLauncher) Forget(pid int) {
	l.mu.Lock()
	delete(l.children, pid)
	l.mu.Unlock()
	l.ReapStrangers()
}

// child is the Process of a child process.
type child struct {
	launcher *ExecLauncher
	runID    string
	worker   string
	cmd      *exec.Cmd
	id       procscan.ID
	output   Output
	ready    *os.File
	printed  chan struct{} // closed when nobody can print any more
	done     chan struct{}
	exit     Exit
	endedAt  time.Time

	mu     sync.Mutex // held while the group is signalled, and while the leader is reaped
	reaped bool
}

func (c *child) ID() procscan.ID       { return c.id }
func (c *child) Done() <-chan struct{} { return c.done }
func (c *child) Exit() Exit            { return c.exit }

// copyOutput passes on what is printed until the last writer has gone, which
// may be a child of the worker that outlives it.
func (c *child) copyOutput(from *os.File) {
	defer close(c.printed)
	defer from.Close()
	_, _ = io.Copy(lenient{c.output}, from)
	_ = c.output.Close()
}

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
	_ = c.cmd.Wait() // says in words what ProcessState says in numbers
	c.reaped = true
	c.endedAt = time.Now()
	c.mu.Unlock()
	c.exit = exitOf(c.cmd.ProcessState)
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
	return err
}

// DumpStacks implements Process: the worker registers SIGUSR1 with Python's
// faulthandler.
func (c *child) DumpStacks() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return procscan.ErrGone
	}
	return syscall.Kill(c.id.PID, syscall.SIGUSR1)
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
