package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// answerTime is how long a supervisor may take to answer before it is asked to
// do what may take as long as its workers do.
const answerTime = 5 * time.Second

// reach refuses to wait for a supervisor that hangs; doing is what it is wanted
// for, as in "cannot stop". One of another version answers, if only that it is.
func reach(ctx context.Context, client *control.Client, found rundir.Found, doing string) (*controlpb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := client.Status(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, failf(exitTimeout, insist(found), "cannot %s run %q: its supervisor does not answer within %v", doing, found.RunID, answerTime)
	case err != nil:
		return nil, unreached(found, doing, err)
	}
	return answer, nil
}

// unreached is a request whose end nobody reported.
func unreached(found rundir.Found, doing string, err error) error {
	if errors.Is(err, control.ErrUnreachable) {
		return failf(exitFailed, insist(found), "cannot %s run %q: %w", doing, found.RunID, err)
	}
	return fmt.Errorf("cannot %s run %q: %w", doing, found.RunID, err)
}

// insist says what helps when the supervisor does not. It names no PID that may
// be another's by now.
func insist(found rundir.Found) string {
	if found.Record != nil {
		s := found.Record.Supervisor
		if alive, err := (procscan.ID{PID: s.PID, Start: s.Start, Boot: s.Boot}).Alive(); err == nil && alive {
			return fmt.Sprintf("look at it: ps -o pid,stat,wchan,args -p %d; if it hangs: kill -9 %d, and its guard ends the workers", s.PID, s.PID)
		}
	}
	return fmt.Sprintf("the supervisor has ended; see what it left: snakepit orphans --run-id %s", found.RunID)
}

// completeTime is how long a shell may be kept waiting for a completion.
const completeTime = time.Second

// completeWorkers offers the ids of a living run's workers to the shell, but for
// those that the command line has already.
func completeWorkers(runID *string) cobra.CompletionFunc {
	return func(c *cobra.Command, have []string, _ string) ([]string, cobra.ShellCompDirective) {
		_, run := askToComplete(*runID)
		if run == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ids := slices.DeleteFunc(run.workerIDs(""), func(id string) bool { return slices.Contains(have, id) })
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// workerIDs are those of one pool, or of all.
func (run *runStatus) workerIDs(pool string) []string {
	var ids []string
	for _, p := range run.Pools {
		for _, w := range p.Workers {
			if pool == "" || pool == p.Name {
				ids = append(ids, w.ID)
			}
		}
	}
	return ids
}
