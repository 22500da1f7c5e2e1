package pool

import (
	"context"
	"errors"
	"time"
)

// RestartOptions say which workers are restarted, and how.
type RestartOptions struct {
	Workers []string // ids; empty: all of the pool
	// Rolling is how many of them may be out of service at once; 1. A restart
	// that fails keeps its place: once Rolling have failed, the rest is left
	// alone and ErrNotTried.
	Rolling        int
	Grace          time.Duration   // from TERM to KILL; 0: the pool's own
	Force          bool            // KILL at once
	ReleaseTimeout time.Duration   // how long a port may take to come free; 0: the pool's own
	Result         func(Restarted) // called as each ends, never two at once
}

// Restarted is how the restart of one worker went.
type Restarted struct {
	Worker         string
	OldPID, NewPID int // 0: it had no process, it has none
	Port           int
	// From the request to the end of the old process, to its port being known
	// free, to the new one being ready; and all of it.
	Stop, Release, Start, Total time.Duration
	// Err is nil when the new process is ready. It is a *CleanupTimeoutError
	// when the port did not come free, a *NotRestartedError when the new process
	// did not become ready, ErrNotTried, ErrStopping, or the context's.
	Err error
}

// ErrNotTried: others could not be restarted, and one more out of service would
// be more than was allowed.
var ErrNotTried = errors.New("not tried")

// NotRestartedError is a new process that did not become ready.
type NotRestartedError struct{ Failure Failure }

func (e *NotRestartedError) Error() string { return e.Failure.Reason }

// Restart restarts workers in whatever state they are, each on its own port,
// and returns what became of each, in the order in which they ended. Workers
// that are not ready come first. Whoever restarts a worker that is being
// restarted waits for that restart and shares its result. When the context
// ends, no further worker is touched, and those under way go on by themselves.
//
// The error is ErrNoWorker for an unknown id, before anything is done.
func (p *Pool) Restart(ctx context.Context, o RestartOptions) ([]Restarted, error) {
	return nil, errors.ErrUnsupported
}

// Scale has the pool keep n workers, at least 1: it adds slots and waits until
// they are ready, or stops those with the highest numbers. The error is a
// *StartError when new workers failed (they stay, as failed), ErrStopping, or
// the context's: what was begun goes on.
func (p *Pool) Scale(ctx context.Context, n int) ([]StopResult, error) {
	return nil, errors.ErrUnsupported
}

// StopWorkers stops single workers, in parallel, and leaves their slots: they
// are restarted on request only. The error is ErrNoWorker for an unknown id,
// before anything is done.
func (p *Pool) StopWorkers(ctx context.Context, ids []string, o StopOptions) ([]StopResult, error) {
	return nil, errors.ErrUnsupported
}
