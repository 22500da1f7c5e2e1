// Package guard is the small separate process that looks after a run when its
// supervisor has ended, in whatever way: it learns of the end by a pipe, does
// its own scan, and says what it found. It stays until the end of the run is
// written down, by whomever: a supervisor can be killed after its last question,
// too. It does nothing else while the supervisor lives, and never outlives its work.
package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// wordClean is what a supervisor says when all of its workers are stopped. A
// pipe that ends without it means that the supervisor died.
const wordClean = "clean\n"

// wordSettled is what it says when the end of the run is written down and its
// socket gone. A pipe that ends without it leaves that to the guard.
const wordSettled = "settled\n"

// Keeper starts child processes so that nobody else reaps them.
type Keeper interface {
	Keep(cmd *exec.Cmd) error
	Forget(pid int)
}

// Guard is the supervisor's side: a child process.
type Guard struct {
	id   procscan.ID
	in   io.WriteCloser
	out  io.ReadCloser
	done chan struct{} // closed when the process has ended
}

// Start starts the guard of a run: this program again, as "snakepit guard", with
// further flags if there are any. It has a session of its own, so that a signal
// to the supervisor's group does not reach it. What it logs goes to log.
func Start(keeper Keeper, executable, runID, runsRoot string, log *os.File, flags ...string) (*Guard, error) {
	cmd := exec.Command(thisProgram(executable), append([]string{"guard", "--run-id", runID, "--runs", runsRoot}, flags...)...)
	cmd.Args[0] = "snakepit"
	cmd.Dir = "/"
	cmd.Stderr = log
	cmd.Env = procscan.WithoutMarker(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start the guard: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start the guard: %w", err)
	}
	if err := keeper.Keep(cmd); err != nil {
		return nil, fmt.Errorf("cannot start the guard: %w", err)
	}
	g := &Guard{in: in, out: out, done: make(chan struct{})}
	id, err := procscan.Lookup(cmd.Process.Pid)
	if err != nil {
		id = procscan.ID{PID: cmd.Process.Pid}
	}
	g.id = id
	go func() {
		defer close(g.done)
		_, _ = cmd.Process.Wait() // its verdict says more than its exit code
		keeper.Forget(id.PID)
	}()
	return g, nil
}

// thisProgram is a path that leads to the program that runs now. Its file may
// have been removed, as "go run" does, or replaced by another version, which
// would not be the one that this supervisor speaks with; then the kernel still
// has it (proc_pid_exe(5)).
func thisProgram(executable string) string {
	const running = "/proc/self/exe"
	now, err := os.Stat(running)
	if err != nil {
		return executable // there is no such thing outside of Linux
	}
	if there, err := os.Stat(executable); err == nil && os.SameFile(now, there) {
		return executable // a name that says more
	}
	return running
}

// Done is closed when the process has ended.
func (g *Guard) Done() <-chan struct{} { return g.done }

// PID is the number that the process has, or had.
func (g *Guard) PID() int { return g.id.PID }

// ID is the guard's process; zero when it has ended.
func (g *Guard) ID() procscan.ID {
	select {
	case <-g.done:
		return procscan.ID{}
	default:
		return g.id
	}
}

// Patience is how long a supervisor waits for the verdict of a clean stop.
const Patience = 15 * time.Second

// Clean tells the guard that everything was stopped, and returns what its own
// scan finds. It then stays until Settled. An error means that no guard has looked.
func (g *Guard) Clean() (v Verdict, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if _, err := io.WriteString(g.in, wordClean); err != nil {
		return Verdict{}, fmt.Errorf("cannot ask the guard: %w", err)
	}
	answer := make(chan error, 1)
	var verdict Verdict
	go func() { answer <- json.NewDecoder(g.out).Decode(&verdict) }()
	select {
	case err := <-answer:
		if err != nil {
			return Verdict{}, fmt.Errorf("cannot read the guard's verdict: %w", err)
		}
		return verdict, nil
	case <-ctx.Done():
		return Verdict{}, fmt.Errorf("the guard does not answer: %w", ctx.Err())
	}
}

// Settled tells a guard that has given its verdict that nothing is left for it to
// do, and waits for its end. One that has ended already needs no word.
func (g *Guard) Settled() {
	_, _ = io.WriteString(g.in, wordSettled) // whether it has ended, its process tells
	g.close()
	select {
	case <-g.done:
	case <-time.After(Patience): // what it had to say, it has said
	}
}

// close ends both pipes, and so who still reads from a guard that hangs.
func (g *Guard) close() {
	_ = g.in.Close()
	_ = g.out.Close()
}
