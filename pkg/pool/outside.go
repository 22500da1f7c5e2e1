package pool

import (
	"context"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Spec says which process is to be launched.
type Spec struct {
	RunID       string
	Pool        string
	Worker      string // the slot's id, "default-3"
	Incarnation uint64 // counts the processes of this slot, from 1
	Host        string
	Port        int
	Grace       time.Duration
	// ReadyTimeout bounds what comes before its launch: the import that others
	// wait for as well.
	ReadyTimeout time.Duration
}

// Launcher starts worker processes.
type Launcher interface {
	// Launch starts one process and returns at once, without waiting for it to
	// serve. An error means that no process was left behind.
	Launch(ctx context.Context, spec Spec) (Process, error)
}

// Preparer is a Launcher that can have something ready for the next launch.
type Preparer interface {
	// Prepare is told that a worker of the pool has become ready and that none is
	// being launched; spec is that worker's. It does not block.
	Prepare(spec Spec)
	// Retire ends what was prepared for the pool: TERM, up to grace, KILL; or at
	// once. No Launch for it succeeds any more, its error is ErrStopping. A second
	// call with force cuts the first one short.
	Retire(pool string, grace time.Duration, force bool)
}

// StartMethod is how a process came to be.
type StartMethod string

// The ways in which a worker's process comes to be.
const (
	Spawned StartMethod = "spawn"   // a program that was started
	Forked  StartMethod = "fork"    // a fork of the pool's forkserver
	StoodBy StartMethod = "standby" // such a fork, which had waited for its place
)

// Process is one launched worker process, the leader of a session and a group
// of its own.
type Process interface {
	// ID is the identity of the process.
	ID() procscan.ID
	// StartedBy says how it came to be.
	StartedBy() StartMethod
	// Readiness waits for the word of the process on its ready channel.
	Readiness(ctx context.Context) (Readiness, error)
	// Done is closed once the process has ended and was reaped.
	Done() <-chan struct{}
	// Exit says how it ended; it may only be called after Done.
	Exit() Exit
	// SignalGroup sends a signal to the group while its leader lives. It
	// returns procscan.ErrGone afterwards: then the number may be another's.
	SignalGroup(sig syscall.Signal) error
	// EndGroup ends what is left of the group after Done, and what is known to
	// have left it: TERM, up to grace, KILL. It returns what became of each.
	EndGroup(ctx context.Context, grace time.Duration) ([]procscan.Ended, error)
	// Tail is the last output of the process, for an error message.
	Tail() []string
	// DumpStacks asks the process to write its stacks to its output. The error is
	// errors.ErrUnsupported for one that would not understand.
	DumpStacks() error
	// Connect makes a client of the process; nil: the pool's own does.
	Connect() Connect
	// Awaited says what stood against the readiness of the process, last; "" when
	// nothing is known.
	Awaited(ctx context.Context) string
	// RSS is the memory that the process takes, in bytes.
	RSS() (uint64, error)
}

// Entry is what the registry keeps of a worker.
type Entry struct {
	Worker, Pool string
	Host         string
	Port         int
	Incarnation  uint64
	Process      procscan.ID // zero: registered, not launched yet
}

// Registry keeps the workers' entries outside of this process, so that
// somebody else can find them when it is gone.
type Registry interface {
	// Put returns once the entry is kept. It is called before a process is
	// launched, and again when its identity is known.
	Put(Entry) error
	Remove(worker string) error
}

// Event is one change in a worker's life.
type Event struct {
	Time        time.Time
	Pool        string
	Worker      string
	From, To    State
	Incarnation uint64
	PID         int // 0 without a process
	Port        int
	Reason      string
	// Exit is the Kind of the process's Exit, when this is its end.
	Exit ExitKind
	// Cause is why a worker is restarted, in one of few words: "exit", the name
	// of the signal that ended it, "start_failure", "blocked" for a port that was
	// held, "request", "max_memory", "ttl", "max_calls", or a Kind of Failure that
	// says more. Empty: this begins no restart.
	Cause string
}

// Observer is told of every event, in order for each worker. It is called by
// the worker's own goroutine and must not block.
type Observer interface {
	Observe(Event)
}

// Called is one call that has ended, with or without a worker.
type Called struct {
	Pool   string
	Worker string        // "" when it got none
	Took   time.Duration // the wait for a worker included
	Err    error         // of Execute
}

// CallObserver is told of every call. It is called by the caller's goroutine
// and must not block.
type CallObserver interface {
	ObserveCall(Called)
}

// Ports answers for TCP ports. The default asks the kernel.
type Ports interface {
	// Check returns nil when the address can be bound now.
	Check(ctx context.Context, host string, port int) error
	// WaitFree returns nil as soon as it can be.
	WaitFree(ctx context.Context, host string, port int) error
	// Holder names who holds the port, for a person; "" when nobody is seen.
	Holder(ctx context.Context, host string, port int) string
	// Free returns n distinct free ports.
	Free(host string, n int) ([]int, error)
}
