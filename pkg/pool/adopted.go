package pool

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What workers leave to the launcher's process, which has become their reaper.

// TakeAdopted has the launcher answer for every child of this process that it
// has not started: such a one descends from a worker, whatever it has done to its
// environment, its group and its session. That is true only if this process takes
// the orphans of its own descendants and no others (it is a child subreaper, and
// not PID 1), and if it had no children at all when the launcher was made. Call
// it before the first launch.
func (l *ExecLauncher) TakeAdopted() { l.adopts = true }

// Adopted returns the living processes that workers of the run have left to this
// one, and all that descend from them: those that a living worker has left and
// those of workers that have ended. Below them, the workers of another run are
// that run's affair. It is empty without TakeAdopted.
func (l *ExecLauncher) Adopted(ctx context.Context, runID string) ([]procscan.Process, error) {
	return l.adopted(ctx, runID, func(procscan.Process) bool { return true })
}

// adopted asks for the families of some of them. Mostly there are none, which is
// known without a look at the whole machine.
func (l *ExecLauncher) adopted(ctx context.Context, runID string, wanted func(procscan.Process) bool) ([]procscan.Process, error) {
	if !l.adopts {
		return nil, nil
	}
	strangers, err := procscan.Children(ctx, os.Getpid(), l.started)
	if err != nil || len(strangers) == 0 {
		return nil, err
	}
	all, err := procscan.Scan(ctx, procscan.Options{Tree: true, ReadEnv: true})
	heads := slices.DeleteFunc(slices.Clone(all.Processes), func(p procscan.Process) bool {
		return !slices.Contains(strangers, p.ID) || !wanted(p)
	})
	return families(all, heads, runID), err
}

// started says whether the launcher has started the process and not waited for
// it yet. One that is being started is waited for.
func (l *ExecLauncher) started(pid int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ours := l.children[pid]
	return ours
}

// Started are the PIDs of all that the launcher has started and not waited for yet:
// workers, forkservers, who stands by. Each leads a group of that number.
func (l *ExecLauncher) Started() map[int]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[int]bool, len(l.children))
	for pid := range l.children {
		all[pid] = true
	}
	return all
}

// families are these processes and who descends from them.
func families(all procscan.Snapshot, heads []procscan.Process, runID string) []procscan.Process {
	children := map[int][]procscan.Process{}
	for _, p := range all.Processes {
		children[p.PPID] = append(children[p.PPID], p)
	}
	found := slices.DeleteFunc(slices.Clone(heads), func(p procscan.Process) bool { return p.State.IsDead() })
	for i := 0; i < len(found); i++ { // it grows
		for _, p := range children[found[i].PID] {
			if !p.State.IsDead() && (!p.Condemns || p.RunID == runID) {
				found = append(found, p)
			}
		}
	}
	return found
}

// endLeft ends what the process of a worker has left: who carries the worker's
// mark, and who descends from such a one. Who has shed the mark may be another
// worker's, and stays until the stop. The rest of the group is for endGroup.
func (c *child) endLeft(ctx context.Context, opts procscan.EndOptions) ([]procscan.Ended, error) {
	find := func(ctx context.Context) ([]procscan.Target, error) {
		left, err := c.launcher.adopted(ctx, c.spec.RunID, func(p procscan.Process) bool {
			return p.RunID == c.spec.RunID && p.WorkerID == c.spec.Worker
		})
		var targets []procscan.Target
		for _, p := range left {
			if p.PGID != c.id.PID {
				targets = append(targets, procscan.Target{ID: p.ID, TrustIdentity: true})
			}
		}
		return targets, err
	}
	return procscan.EndAll(ctx, find, opts)
}

// endLeftovers ends the group of an ended worker and what has left it, both at
// the same time.
func (c *child) endLeftovers(ctx context.Context, grace time.Duration) ([]procscan.Ended, error) {
	opts := procscan.EndOptions{Grace: grace, KillWait: killWait}
	var away []procscan.Ended
	var failed error
	var wait sync.WaitGroup
	wait.Go(func() { away, failed = c.endLeft(ctx, opts) })
	group, err := c.endGroup(ctx, opts)
	wait.Wait()
	return append(group, away...), errors.Join(err, failed)
}
