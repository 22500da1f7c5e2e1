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
	// Fork has workers forked from a process that has imported everything once.
	// nil: each is spawned, as a process of its own from the first instruction.
	Fork *Fork
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
// supervisor. A worker that is forked (Command.Fork) gets the same from the
// forkserver, and becomes a child of this process as well.
type ExecLauncher struct {
	command func(Spec) Command
	output  func(Spec) (Output, error)
	starts  chan func()
	without []Layer

	lifeline, keep *os.File // read end for the workers; write end, ours alone

	mu       sync.Mutex         // guards what follows, and is held while a child is born
	children map[int]struct{}   // PIDs that are ours to wait for
	forkers  map[string]*forker // by pool
	notice   func(Notice)

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
		forkers: make(map[string]*forker), notice: func(Notice) {},
	}
	go func() {
		runtime.LockOSThread() // for the life of the thread: never unlocked
		for start := range l.starts {
			start()
		}
	}()
	return l, nil
}

// Close ends the forkservers and the workers that stand by, the starting thread
// and the lifeline: workers that live on end themselves.
func (l *ExecLauncher) Close() error {
	for _, f := range l.allForkers() {
		f.retire(0, true)
	}
	close(l.starts)
	return errors.Join(l.keep.Close(), l.lifeline.Close())
}

// Launch implements Launcher.
func (l *ExecLauncher) Launch(_ context.Context, spec Spec) (Process, error) {
	p, err := l.launch(spec, l.command(spec))
	if err != nil {
		return nil, fmt.Errorf("cannot launch %s: %w", spec.Worker, err)
	}
	return p, nil
}

func (l *ExecLauncher) launch(spec Spec, command Command) (*child, error) {
	if command.Ready.By == ReadyLog && command.Ready.Line == nil {
		return nil, errors.New("no expression says which line of its output means that it is ready")
	}
	if command.Fork != nil {
		if c, err := l.forker(spec, command).launch(spec); !errors.Is(err, errSpawn) {
			return c, err
		}
	}
	output, err := l.output(spec)
	if err != nil {
		return nil, err
	}
	c, theirs, err := l.newChild(spec, command.Ready, output)
	if err != nil {
		return nil, errors.Join(err, output.Close())
	}
	defer theirs.close()
	if err := l.spawn(c, theirs, command, l.gifts(theirs)); err != nil {
		return nil, errors.Join(err, c.discard())
	}
	c.run()
	return c, nil
}

// newChild makes the pipes of a process that is not there yet. What it is to get
// is for the caller to close.
func (l *ExecLauncher) newChild(spec Spec, how ReadyWhen, output Output) (*child, ends, error) {
	var theirs ends
	c := &child{
		launcher: l, spec: spec, how: how, method: Spawned, output: output,
		done: make(chan struct{}), printed: make(chan struct{}),
	}
	var err error
	if c.prints, theirs.output, err = os.Pipe(); err != nil {
		return nil, ends{}, err
	}
	if !how.foreign() {
		if c.ready, theirs.ready, err = os.Pipe(); err != nil {
			theirs.close()
			return nil, ends{}, errors.Join(err, c.prints.Close())
		}
	}
	if how.By == ReadyLog {
		c.watch = newWatch(how.Line)
	}
	return c, theirs, nil
}

// ends are the ends of a child's pipes that the child has.
type ends struct{ output, ready *os.File }

// close is for when the child has them, or will not come to be.
func (e ends) close() {
	for _, file := range []*os.File{e.output, e.ready} {
		if file != nil {
			_ = file.Close() // nothing was written
		}
	}
}

// gift is a descriptor that a process is started with, and the variable that
// holds its number.
type gift struct {
	variable string
	file     *os.File
}

// gifts are those of a worker.
func (l *ExecLauncher) gifts(theirs ends) []gift {
	var all []gift
	if theirs.ready != nil {
		all = append(all, gift{readyVariable, theirs.ready})
	}
	if !slices.Contains(l.without, Lifeline) {
		all = append(all, gift{lifelineVariable, l.lifeline})
	}
	return all
}

// spawn starts a process that runs the command.
func (l *ExecLauncher) spawn(c *child, theirs ends, command Command, gifts []gift) error {
	cmd := exec.Command(command.Path, command.Args...)
	cmd.Dir = command.Dir
	cmd.Env = withoutDescriptors(command.Env)
	cmd.Stdout, cmd.Stderr = theirs.output, theirs.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	for _, g := range gifts {
		give(cmd, g.variable, g.file)
	}
	if !slices.Contains(l.without, ParentDeathSignal) {
		guardAgainstParentDeath(cmd.SysProcAttr)
	}
	return l.start(c, cmd)
}

// The variables that hold the numbers of a worker's descriptors.
const (
	readyVariable    = "SNAKEPIT_READY_FD"
	lifelineVariable = "SNAKEPIT_LIFELINE_FD"
	forkVariable     = "SNAKEPIT_FORK_FD" // of a forkserver
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
		name, _, _ := strings.Cut(entry, "=")
		return name == readyVariable || name == lifelineVariable || name == forkVariable
	})
}

// start has the starting thread start the child. It is known before anybody
// could take it for a stranger.
func (l *ExecLauncher) start(c *child, cmd *exec.Cmd) error {
	result := make(chan error, 1)
	l.starts <- func() { result <- l.Keep(cmd) }
	if err := <-result; err != nil {
		return err
	}
	c.identify(cmd.Process)
	return nil
}

// identify notes which process it is.
func (c *child) identify(process *os.Process) {
	var err error
	c.process = process
	if c.id, err = procscan.Lookup(process.Pid); err != nil {
		// It has ended already; as our child it keeps its PID until it is reaped.
		c.id = procscan.ID{PID: process.Pid}
	}
	c.memory = c.launcher.memory.open(c.id.PID)
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
	method   StartMethod
	process  *os.Process
	id       procscan.ID
	prints   *os.File // what it prints
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
