package guard

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// grace is from TERM to KILL: nobody waits for these workers' answers.
const grace = 2 * time.Second

// killWait is how long the kernel may take to end a process after KILL.
const killWait = 5 * time.Second

// Sweep ends what the registry of a run names, and what carries its marker.
func Sweep(ctx context.Context, runID string, entries []rundir.Entry) Verdict {
	options := procscan.EndOptions{Grace: grace, KillWait: killWait}
	ended := procscan.End(ctx, living(entries, runID), options)
	more, left, err := procscan.EndRun(ctx, runID, nil, options)
	verdict := Verdict{Found: []int{}, Killed: []int{}, Survivors: []int{}}
	for _, e := range append(ended, more...) {
		verdict.Found = append(verdict.Found, e.ID.PID)
		switch {
		case e.Alive:
			verdict.Survivors = append(verdict.Survivors, e.ID.PID)
		case e.Signal != "":
			verdict.Killed = append(verdict.Killed, e.ID.PID)
		}
		if e.Err != nil {
			verdict.Errors = append(verdict.Errors, fmt.Sprintf("PID %d: %v", e.ID.PID, e.Err))
		}
	}
	for _, p := range left {
		verdict.Survivors = append(verdict.Survivors, p.PID)
	}
	if err != nil {
		verdict.Errors = append(verdict.Errors, err.Error())
	}
	for _, pids := range []*[]int{&verdict.Found, &verdict.Killed, &verdict.Survivors} {
		slices.Sort(*pids) // one that both looks met counts once
		*pids = slices.Compact(*pids)
	}
	return verdict
}

// living are the processes of the registry that have not ended.
func living(entries []rundir.Entry, runID string) []procscan.Target {
	var named []procscan.Target
	for _, e := range entries {
		id := procscan.ID{PID: e.PID, Start: e.Start, Boot: e.Boot}
		if alive, err := id.Alive(); err == nil && alive {
			named = append(named, procscan.Target{ID: id, RunID: runID, TrustIdentity: true})
		}
	}
	return named
}

// report names what Sweep would end. Those that end by themselves within the
// grace time, as their supervisor's death or TERM has told them to, are no
// finding.
func report(ctx context.Context, runID string, entries []rundir.Entry) Verdict {
	found, err := left(ctx, runID, entries)
	if len(found) > 0 {
		awaitEnds(ctx, found)
		found, err = left(ctx, runID, entries)
	}
	verdict := Verdict{Found: []int{}, Killed: []int{}}
	for _, id := range found {
		verdict.Found = append(verdict.Found, id.PID)
	}
	verdict.Survivors = verdict.Found
	if err != nil {
		verdict.Errors = []string{err.Error()}
	}
	return verdict
}

// left are the processes that the registry names, and those with the marker.
func left(ctx context.Context, runID string, entries []rundir.Entry) ([]procscan.ID, error) {
	snapshot, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true})
	var found []procscan.ID
	met := map[procscan.ID]bool{}
	add := func(id procscan.ID) {
		if !met[id] {
			met[id] = true
			found = append(found, id)
		}
	}
	for _, p := range snapshot.Run(runID) {
		add(p.ID)
	}
	for _, t := range living(entries, runID) {
		add(t.ID)
	}
	return found, err
}

// awaitEnds waits for all of them together, for the grace time.
func awaitEnds(ctx context.Context, ids []procscan.ID) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for _, id := range ids {
		if handle, err := procscan.Open(id); err == nil {
			_ = handle.Wait(ctx) // who is left, the next look tells
			_ = handle.Close()
		}
	}
}
