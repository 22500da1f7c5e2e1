package cmd

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/snakepit-dev/snakepit/internal/orphans"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// look waits for who cleans up already, and says what came of that.
func (o *killOrphansOptions) look(ctx context.Context) (orphans.Report, error) {
	where := orphans.Options{Runs: stateRoot(), RunID: o.runID, All: true, Theirs: o.runID != ""}
	report, err := orphans.Find(ctx, where)
	if err != nil {
		return report, err
	}
	waited := orphans.AwaitCleanups(ctx, report, o.how())
	if len(waited) == 0 {
		return report, nil
	}
	if report, err = orphans.Find(ctx, where); err != nil {
		return report, err
	}
	for _, id := range waited {
		if run := report.Runs[id]; !run.Alive && run.Record != nil && run.Record.End != nil {
			fmt.Fprintln(o.env.Err, cleanedUp(id, run.Record.End.Killed))
		}
	}
	return report, nil
}

func cleanedUp(runID string, killed []int) string {
	text := "run " + runID + " has just been cleaned up: "
	if len(killed) == 0 {
		return text + "there was nobody to kill"
	}
	return text + fmt.Sprintf("%s killed: PID %s", count(len(killed), "process was", "processes were"), joinInts(killed, ", "))
}

// warnOfSpared names whom the registry may name in vain, since that file goes with
// the dead run.
func (o *killOrphansOptions) warnOfSpared(report orphans.Report) {
	for _, f := range report.Processes {
		if f.Spared() {
			warnAbout(o.env, []string{fmt.Sprintf("PID %d is in the registry of run %s and is left alone: %s", f.Process.PID, f.RunID, f.Evidence[len(f.Evidence)-1])})
		}
	}
}

// refuse says no to a named run that is not known to be dead.
func (o *killOrphansOptions) refuse(report orphans.Report, plan []orphans.Finding) error {
	if o.runID == "" || len(plan) > 0 {
		return nil
	}
	if run := report.Runs[o.runID]; run.Alive && run.Record == nil {
		return failf(exitAmbiguous, "look again in a moment: snakepit orphans --run-id "+o.runID,
			"cannot kill the processes of run %q: its lock is held: it starts just now, or somebody cleans up", o.runID)
	}
	if report.Living(o.runID) && !o.strays {
		hint := "stop it: snakepit stop --run-id " + o.runID
		if n := len(report.ToKill(true)); n > 0 {
			hint += fmt.Sprintf("; or end %s of it: snakepit kill-orphans --run-id %s --strays", count(n, "stray", "strays"), o.runID)
		}
		return failf(exitAmbiguous, hint, "cannot kill the processes of run %q: it is alive", o.runID)
	}
	for _, f := range unproven(report) {
		if dead(report, o.runID) {
			warnAbout(o.env, []string{fmt.Sprintf("PID %d has the name of run %s and is left alone: %s", f.Process.PID, f.RunID, f.Evidence[len(f.Evidence)-1])})
			continue
		}
		if uid := os.Geteuid(); uid != 0 && f.Process.UID != uid {
			return notOurs(&orphans.TheirsError{PID: f.Process.PID, UID: f.Process.UID})
		}
		return failf(exitAmbiguous, fmt.Sprintf("see why: snakepit orphans --run-id %s --all -o wide; end its host first", o.runID),
			"cannot kill the processes of run %q: it may be alive: PID %d: %s", o.runID, f.Process.PID, f.Evidence[len(f.Evidence)-1])
	}
	return nil
}

// unproven carry the marker of a run, and nothing proves that they may be ended.
func unproven(report orphans.Report) []orphans.Finding {
	return slices.DeleteFunc(slices.Clone(report.Processes), func(f orphans.Finding) bool {
		return f.Verdict != procscan.Foreign || !f.Process.Condemns || f.Process.State.IsDead()
	})
}

// dead says that a run is on disk and its recorded supervisor has ended: who lives
// under its name is of another run. Without a record, nothing tells them apart.
func dead(report orphans.Report, runID string) bool {
	run, onDisk := report.Runs[runID]
	return onDisk && run.Record != nil && !run.Alive && !run.LockUnknown && !report.Living(runID)
}

func notOurs(err error) error {
	return failf(exitPermission, "do it as that user, or as root", "%w", err)
}
