package orphans

import (
	"context"
	"slices"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// CleanedUp says that somebody holds the lock of a run whose supervisor is dead:
// its guard, or another cleanup.
func (r Report) CleanedUp(runID string) bool {
	run := r.Runs[runID]
	return run.Alive && run.Record != nil && !r.Living(runID)
}

// AwaitCleanups waits for those who clean up after dead runs of the report, for
// as long as Kill would take for one, and returns the ids of these runs. What
// they have done, the next report tells.
func AwaitCleanups(ctx context.Context, report Report, o KillOptions) []string {
	ctx, cancel := context.WithTimeout(ctx, o.wait())
	defer cancel()
	var waited []string
	for id, run := range report.Runs {
		if !report.CleanedUp(id) {
			continue
		}
		waited = append(waited, id)
		now := Report{Runs: map[string]rundir.Found{id: run}}
		for now.CleanedUp(id) && awaitLock(ctx, run.Dir) == nil {
			again, err := rundir.Open(o.Runs, id)
			if err != nil {
				break // pruned
			}
			now.Runs[id] = again
		}
	}
	slices.Sort(waited)
	return waited
}

// lockLook is how long a busy lock is waited for before its run is looked at
// again: a new supervisor that has taken it is not known before it writes its
// record, and that announces nothing.
const lockLook = 50 * time.Millisecond

// awaitLock returns when the lock of a run is free, or after a while. The error
// is that of the context.
func awaitLock(ctx context.Context, dir string) error {
	short, cancel := context.WithTimeout(ctx, lockLook)
	defer cancel()
	if err := rundir.WaitEnded(short, dir); err != nil && short.Err() == nil {
		return err
	}
	return ctx.Err()
}
