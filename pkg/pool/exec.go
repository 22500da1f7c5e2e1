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
	"strings"
	"sync"
	"sync/atomic"
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
	// Ready is how it is known that the program serves. The zero value is for the
	// worker package; a program of another make needs one of the other ways.
	Ready ReadyWhen
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
//   - its ready channel, the descriptor in SNAKEPIT_READY_FD, unless it is a
//     foreign program (Command.Ready);
//   - its lifeline, the descriptor in SNAKEPIT_LIFELINE_FD: a pipe that ends
//     when this process ends, however it ends. A foreign program may read it, and
//     end itself at its end;
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

	memory oomKills
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
	command := l.command(spec)
	if command.Ready.By == ReadyLog && command.Ready.Line == nil {
		return nil, errors.New("no expression says which line of its output means that it is ready")
	}
	printR, printW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer printW.Close()
	c := &child{
		launcher: l, spec: spec, how: command.Ready, cmd: exec.Command(command.Path, command.Args...), output: output,
		done: make(chan struct{}), printed: make(chan struct{}),
	}
	c.cmd.Dir = command.Dir
	c.cmd.Env = withoutDescriptors(command.Env)
	c.cmd.Stdout, c.cmd.Stderr = printW, printW
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !c.how.foreign() {
		var readyW *os.File
		if c.ready, readyW, err = os.Pipe(); err != nil {
			printR.Close()
			return nil, err
		}
		defer readyW.Close()
		give(c.cmd, readyVariable, readyW)
	}
	if c.how.By == ReadyLog {
		c.watch = newWatch(c.how.Line)
	}
	if !slices.Contains(l.without, Lifeline) {
		give(c.cmd, lifelineVariable, l.lifeline)
	}
	if !slices.Contains(l.without, ParentDeathSignal) {
		guardAgainstParentDeath(c.cmd.SysProcAttr)
	}
	if err := l.start(c); err != nil {
		_ = c.ready.Close() // nobody has written to it; a foreign program has none
		printR.Close()
		return nil, err
	}
	go c.copyOutput(printR)
	go c.awaitExit()
	return c, nil
}

// The variables that hold the numbers of a worker's descriptors.
const (
	readyVariable    = "SNAKEPIT_READY_FD"
	lifelineVariable = "SNAKEPIT_LIFELINE_FD"
)

// give passes a descriptor on, and says its number in a variable.
func give(cmd *exec.Cmd, variable string, file *os.File) {
	cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", variable, 2+len(cmd.ExtraFiles)))
}

// withoutDescriptors copies an environment without the variables that would be
// another worker's, if this process is itself started by one.
func withoutDescriptors(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return strings.HasPrefix(entry, readyVariable+"=") || strings.HasPrefix(entry, lifelineVariable+"=")
	})
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
	c.memory = l.memory.open(c.id.PID)
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

// child is the Process of a child process; its methods are in child.go.
type child struct {
	launcher *ExecLauncher
	spec     Spec
	how      ReadyWhen
	cmd      *exec.Cmd
	id       procscan.ID
	output   Output
	watch    *watch   // of ReadyLog
	ready    *os.File // nil for a foreign program
	memory   oomCounter
	printed  chan struct{} // closed when nobody can print any more
	done     chan struct{}
	exit     Exit
	endedAt  time.Time
	awaited  atomic.Pointer[string] // what stood against its being ready, last

	mu     sync.Mutex // held while the group is signalled, and while the leader is reaped; guards what follows
	reaped bool
	asked  bool // to end
	killed bool // by us
}
