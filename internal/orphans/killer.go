package orphans

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// killer ends the processes of one run.
type killer struct {
	opts   KillOptions
	runID  string
	result Result
	met    []int // PIDs of all that were to be ended
	seen   map[procscan.ID]procscan.Process
}

// refuse says of the run's orphans, as they were found, that they were left alone.
func (k *killer) refuse(report Report, reason error) {
	for _, f := range report.Processes {
		if f.RunID == k.runID && f.Condemned() {
			k.result.Failed = append(k.result.Failed, Failed{f.Process.PID, reason})
			k.result.Survivors = append(k.result.Survivors, f.Process.PID)
		}
	}
}

// end looks, judges, signals, and looks again.
func (k *killer) end(ctx context.Context, adopted string) {
	var left []int
	find := func(ctx context.Context) ([]procscan.Target, error) {
		report, err := look(ctx, Options{Runs: k.opts.Runs, RunID: k.runID, Theirs: k.opts.Theirs}, adopted)
		left = nil
		targets := k.targets(report)
		for _, t := range targets {
			left = append(left, t.ID.PID)
		}
		return targets, err
	}
	ended, err := procscan.EndAll(ctx, find, procscan.EndOptions{Grace: k.opts.Grace, KillWait: k.opts.KillWait, Thorough: true})
	if err != nil {
		k.result.Errors = append(k.result.Errors, fmt.Errorf("cannot end all of run %s: %w", k.runID, err))
	}
	for _, e := range ended {
		if e.Signal != "" || e.Alive {
			k.met = append(k.met, e.ID.PID)
		}
		switch {
		case e.Err != nil:
			k.result.Failed = append(k.result.Failed, Failed{e.ID.PID, k.explain(e)})
		case e.Signal != "":
			k.result.Killed = append(k.result.Killed, Killed{e.ID.PID, k.runID, e.Signal, e.Took})
		}
	}
	k.result.Survivors = append(k.result.Survivors, left...)
}

// targets are those whom the report condemns, and whom an earlier one has: who
// has no marker is not known any more when the orphan that it belonged to has
// gone first.
func (k *killer) targets(report Report) []procscan.Target {
	var targets []procscan.Target
	again := map[procscan.ID]bool{}
	for _, f := range report.ToKill(k.opts.Strays) {
		again[f.Process.ID] = true
		k.seen[f.Process.ID] = f.Process
		targets = append(targets, procscan.Target{ID: f.Process.ID, RunID: k.runID, TrustIdentity: !f.Process.Condemns})
	}
	for id, p := range k.seen {
		if p.Condemns || again[id] {
			continue
		}
		if alive, err := id.Alive(); alive || err != nil {
			targets = append(targets, procscan.Target{ID: id, RunID: k.runID, TrustIdentity: true})
		}
	}
	return targets
}

// explain says why another user's process was not ended.
func (k *killer) explain(e procscan.Ended) error {
	if p := k.seen[e.ID]; errors.Is(e.Err, fs.ErrPermission) && p.UID != os.Geteuid() {
		return &TheirsError{PID: p.PID, UID: p.UID}
	}
	return e.Err
}
