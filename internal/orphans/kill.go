package orphans

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// KillOptions say how Kill does it.
type KillOptions struct {
	Runs     string        // the directory of all runs; it need not exist
	Grace    time.Duration // from TERM to KILL; zero sends KILL at once
	KillWait time.Duration // how long the kernel may take; zero means 5 s
	Strays   bool          // end strays of living runs, too
	Theirs   bool          // end processes of other users, too, whose run was named
	Source   string        // who does it, for the events and the record; telemetry.SourceKillOrphans if empty
}

// wait is how long others may take who do the same.
func (o KillOptions) wait() time.Duration { return o.Grace + cmp.Or(o.KillWait, 5*time.Second) }

// Killed is a process that was ended.
type Killed struct {
	PID    int
	RunID  string
	Signal string // the last one sent: TERM or KILL
	Took   time.Duration
}

// Failed is a process that was not ended, and why.
type Failed struct {
	PID int
	Err error
}

// Result is what Kill has done.
type Result struct {
	Killed    []Killed
	Failed    []Failed
	Survivors []int // who is still there, whether it could be signalled or not
	// Errors are what went wrong beside single processes: a scan that is
	// incomplete, a leftover that could not be removed.
	Errors []error
}

// Kill ends the orphans of the runs that are in the report, the strays too where
// that is asked for, and looks again until there is no new one. It frees what
// the dead runs have left on disk. All runs have the same time, together.
//
// The report is only where it looks. Each run is locked, and each process is
// judged again right before it is signalled; who does not deserve it any more
// is left alone. Two calls at once do no harm: the second waits for the first.
func Kill(ctx context.Context, report Report, o KillOptions) Result {
	ids := report.runsToKill(o.Strays)
	results := make([]Result, len(ids))
	var wait sync.WaitGroup
	for i, id := range ids {
		wait.Go(func() { results[i] = killRun(ctx, id, report, o) })
	}
	wait.Wait()
	var all Result
	for _, r := range results {
		all.Killed = append(all.Killed, r.Killed...)
		all.Failed = append(all.Failed, r.Failed...)
		all.Survivors = append(all.Survivors, r.Survivors...)
		all.Errors = append(all.Errors, r.Errors...)
	}
	return all
}

// Living says that the run is on disk and its supervisor lives, as far as is
// known: a lock can also be held by another cleanup.
func (r Report) Living(runID string) bool {
	run := r.Runs[runID]
	if run.Record == nil {
		return run.Alive
	}
	alive, err := run.Record.Supervisor.ID().Alive()
	if run.Record.State == rundir.StateEnded && !run.Alive {
		return false
	}
	return err != nil || alive
}

// ToKill are the processes that Kill would end.
func (r Report) ToKill(strays bool) []Finding {
	var found []Finding
	for _, f := range r.Processes {
		if f.Condemned() || strays && f.Stray() {
			found = append(found, f)
		}
	}
	return found
}

// runsToKill are the runs that have processes to be ended, or leftovers on disk.
func (r Report) runsToKill(strays bool) []string {
	var ids []string
	for _, f := range r.ToKill(strays) {
		ids = append(ids, f.RunID)
	}
	for id, run := range r.Runs {
		if !run.Alive && !run.LockUnknown && !run.Settled() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func killRun(ctx context.Context, id string, report Report, o KillOptions) Result {
	k := &killer{opts: o, runID: id, seen: map[procscan.ID]procscan.Process{}}
	run, onDisk := report.Runs[id]
	if !onDisk || !mayAdopt(run) {
		k.end(ctx, "")
		return k.result
	}
	dir, err := adopt(ctx, run, o)
	switch {
	case errors.Is(err, fs.ErrNotExist): // pruned since
		k.end(ctx, "")
	case errors.Is(err, ErrAlive):
		k.refuse(report, err)
		if o.Strays {
			k.end(ctx, "")
		}
	case err != nil:
		k.refuse(report, err)
		k.result.Errors = append(k.result.Errors, err)
	default:
		k.end(ctx, id)
		err := errors.Join(k.settle(dir), dir.Close())
		if err != nil {
			k.result.Errors = append(k.result.Errors, err)
		}
	}
	return k.result
}

// mayAdopt says that the run's lock proves something once it is ours: without a
// lock file, anybody could have it.
func mayAdopt(run rundir.Found) bool {
	if !run.LockUnknown {
		return true
	}
	if run.Record == nil || run.Record.Supervisor.PID == 0 {
		return false
	}
	alive, err := run.Record.Supervisor.ID().Alive()
	return err == nil && !alive
}

// ErrAlive says that a process was left alone because its run lives by now.
var ErrAlive = errors.New("its run is alive")

// adopt takes the lock of a dead run. One that is held by another cleanup is
// waited for.
func adopt(ctx context.Context, run rundir.Found, o KillOptions) (*rundir.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Grace+2*cmp.Or(o.KillWait, 5*time.Second))
	defer cancel()
	for {
		dir, err := rundir.Adopt(ctx, o.Runs, run.RunID)
		var inUse *rundir.InUseError
		if !errors.As(err, &inUse) {
			return dir, err
		}
		supervisor := inUse.Supervisor.ID()
		if alive, err := supervisor.Alive(); supervisor.IsZero() || err != nil || alive {
			return nil, fmt.Errorf("%w: %w", ErrAlive, inUse)
		}
		if err := awaitLock(ctx, run.Dir); err != nil {
			return nil, fmt.Errorf("somebody else cleans up: %w", err)
		}
	}
}
