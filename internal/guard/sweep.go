package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// grace is from TERM to KILL: nobody waits for these workers' answers.
const grace = 2 * time.Second

// Sweep ends what carries the marker of a run with its key, and what its
// registry names and does not contradict it.
func Sweep(ctx context.Context, runID, key string, entries []rundir.Entry) Verdict {
	options := procscan.EndOptions{Grace: grace}
	named, failed := living(ctx, entries, runID, key)
	ended := procscan.End(ctx, named, options)
	more, left, err := procscan.EndRun(ctx, runID, procscan.NotOf(key), options)
	err = errors.Join(failed, err)
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

// living are the processes of the registry that have not ended. A file can be
// damaged or edited: who is another user's, or carries the marker of another run,
// is not believed to be of this one.
func living(ctx context.Context, entries []rundir.Entry, runID, key string) ([]procscan.Target, error) {
	var ids []procscan.ID
	for _, e := range entries {
		id := procscan.ID{PID: e.PID, Start: e.Start, Boot: e.Boot}
		if alive, err := id.Alive(); err == nil && alive {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	snapshot, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true, Also: ids})
	var named []procscan.Target
	for _, id := range ids {
		p, found := snapshot.Find(id.PID)
		if !found || p.ID != id || p.UID != os.Geteuid() {
			continue
		}
		if ours := p.RunID == runID && p.Key == key; ours || !p.Condemns && p.Key == "" {
			named = append(named, procscan.Target{ID: id, RunID: runID, TrustIdentity: true})
		}
	}
	return named, err
}

// report names what Sweep would end. Those that end by themselves within the
// grace time, as their supervisor's death or TERM has told them to, are no
// finding.
func report(ctx context.Context, runID, key string, entries []rundir.Entry) Verdict {
	found, err := left(ctx, runID, key, entries)
	if len(found) > 0 {
		awaitEnds(ctx, found)
		found, err = left(ctx, runID, key, entries)
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
func left(ctx context.Context, runID, key string, entries []rundir.Entry) ([]procscan.ID, error) {
	snapshot, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true})
	var found []procscan.ID
	met := map[procscan.ID]bool{}
	add := func(id procscan.ID) {
		if !met[id] {
			met[id] = true
			found = append(found, id)
		}
	}
	others := procscan.NotOf(key)
	for _, p := range snapshot.Run(runID) {
		if !others(p) {
			add(p.ID)
		}
	}
	named, failed := living(ctx, entries, runID, key)
	for _, t := range named {
		add(t.ID)
	}
	return found, errors.Join(err, failed)
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
