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
	verdict := verdictOf(append(ended, more...), left)
	if err != nil {
		verdict.Errors = append(verdict.Errors, err.Error())
	}
	return verdict
}

// verdictOf counts each process once: one that the registry names and nobody
// could end is found again by its marker, and the last word counts.
func verdictOf(ended []procscan.Ended, left []procscan.Process) Verdict {
	found, killed, alive := map[int]bool{}, map[int]bool{}, map[int]bool{}
	var problems []string
	for _, e := range ended {
		found[e.ID.PID] = true
		alive[e.ID.PID] = e.Alive
		killed[e.ID.PID] = !e.Alive && e.Signal != ""
		if e.Err != nil {
			problems = append(problems, fmt.Sprintf("PID %d: %v", e.ID.PID, e.Err))
		}
	}
	for _, p := range left {
		found[p.PID], alive[p.PID] = true, true
	}
	return Verdict{Found: pids(found), Killed: pids(killed), Survivors: pids(alive), Errors: problems}
}

// pids lists those that hold, in order; never nil, for JSON.
func pids(holds map[int]bool) []int {
	list := []int{}
	for pid, yes := range holds {
		if yes {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
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
