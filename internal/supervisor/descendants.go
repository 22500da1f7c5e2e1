package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What workers have started, and where it is when they stop.

// finder names processes that are to be ended, as they are now.
type finder func(context.Context) ([]procscan.Process, error)

// adoptsOnlyDescendants says that whoever becomes a child of this process without
// having been started by it descends from a worker. PID 1 is given everybody's
// orphans. And who has had children before it became this program, as a shell has
// that says "sleep 100 & exec snakepit start", would lose them.
func adoptsOnlyDescendants(ctx context.Context, self procscan.ID) (bool, error) {
	if self.PID == 1 {
		return false, nil
	}
	children, err := procscan.Children(ctx, self.PID, nil)
	return err == nil && len(children) == 0, err
}

// end ends what is found until nothing new is, and returns who is left. Who is in
// a hurry gets it without any more grace.
func (s *supervisor) end(patience context.Context, find finder, grace time.Duration) (left []procscan.Process, err error) {
	of := map[procscan.ID]string{}
	targets := func(ctx context.Context) ([]procscan.Target, error) {
		left, err = find(ctx)
		var all []procscan.Target
		for _, p := range left {
			of[p.ID] = s.nameOf(p)
			marked := p.Condemns && p.RunID == s.opts.Config.RunID
			all = append(all, procscan.Target{ID: p.ID, RunID: s.opts.Config.RunID, TrustIdentity: !marked})
		}
		return all, err
	}
	ended, failed := procscan.EndAll(patience, targets, procscan.EndOptions{Grace: grace, Thorough: true})
	if patience.Err() != nil {
		var more []procscan.Ended
		more, failed = procscan.EndAll(context.WithoutCancel(patience), targets, procscan.EndOptions{Thorough: true})
		ended = append(ended, more...)
	}
	s.stopping.mu.Lock()
	defer s.stopping.mu.Unlock()
	for _, e := range ended {
		if !e.Alive && e.Signal != "" {
			s.noteOutlived(e, of[e.ID])
		}
	}
	if failed != nil {
		failed = fmt.Errorf("cannot end run %s: %w", s.opts.Config.RunID, failed)
	}
	return left, failed
}

func (s *supervisor) nameOf(p procscan.Process) string {
	if p.WorkerID != "" && p.RunID == s.opts.Config.RunID {
		return "left by " + p.WorkerID
	}
	return "left by a worker"
}

// strays are those who have left their worker's group; its members are the pools'
// own business. What ended workers leave after the first look is it, too.
func (s *supervisor) strays() finder {
	first := true
	return func(ctx context.Context) ([]procscan.Process, error) {
		all, err := s.marked(ctx)
		if first {
			first = false
			adopted, failed := s.adopted(ctx)
			all, err = union(all, adopted), errors.Join(err, failed)
		}
		leaders := s.leaders()
		return slices.DeleteFunc(all, func(p procscan.Process) bool { return leaders[p.PGID] || isBeingForked(p, all) }), err
	}
}

// remaining are all that are left when the workers have ended.
func (s *supervisor) remaining(ctx context.Context) ([]procscan.Process, error) {
	all, err := s.marked(ctx)
	adopted, failed := s.adopted(ctx)
	return union(all, adopted), errors.Join(err, failed)
}

// marked carry the marker of the run, and its key, and are of no living run that
// was started from within this one.
func (s *supervisor) marked(ctx context.Context) ([]procscan.Process, error) {
	snapshot, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true, Ancestors: true})
	ours := slices.DeleteFunc(snapshot.Run(s.opts.Config.RunID), procscan.NotOf(s.key))
	if len(ours) == 0 {
		return nil, err
	}
	living, failed := s.livingOthers()
	return slices.DeleteFunc(ours, func(p procscan.Process) bool { return snapshot.OfLiving(p, living) != "" }), errors.Join(err, failed)
}

// adopted are those that workers have left to this process, without the living
// runs that were started from within this one.
func (s *supervisor) adopted(ctx context.Context) ([]procscan.Process, error) {
	all, err := s.launcher.Adopted(ctx, s.opts.Config.RunID)
	if len(all) == 0 {
		return nil, err
	}
	living, failed := s.livingOthers()
	return withoutFamilies(all, living), errors.Join(err, failed)
}

// livingOthers are the supervisors, guards and workers of the other living runs.
func (s *supervisor) livingOthers() (map[procscan.ID]string, error) {
	runs, _, err := rundir.List(s.opts.Runs)
	if err != nil {
		return nil, err
	}
	runs = slices.DeleteFunc(rundir.Living(runs), func(run rundir.Found) bool { return run.RunID == s.opts.Config.RunID })
	living, _ := rundir.Others(runs, s.opts.Config.RunID) // a broken registry is its own run's affair
	return living, nil
}

// withoutFamilies leaves out these processes and all below them.
func withoutFamilies(all []procscan.Process, heads map[procscan.ID]string) []procscan.Process {
	byPID := map[int]procscan.Process{}
	for _, p := range all {
		byPID[p.PID] = p
	}
	return slices.DeleteFunc(all, func(p procscan.Process) bool {
		for range all { // at most as often as there are processes: PIDs may go in circles
			if _, named := heads[p.ID]; named {
				return true
			}
			parent, found := byPID[p.PPID]
			if !found {
				return false
			}
			p = parent
		}
		return false
	})
}

// isBeingForked says that the process is a fork of a forkserver's fork, which its
// launcher is about to hear of, and ends.
func isBeingForked(p procscan.Process, all []procscan.Process) bool {
	return slices.ContainsFunc(all, func(parent procscan.Process) bool {
		return p.PPID == parent.PID && pool.IsForkserverID(parent.WorkerID)
	})
}

// leaders are the PIDs of the workers and of what their launcher keeps beside them,
// which lead groups of that number.
func (s *supervisor) leaders() map[int]bool {
	leaders := s.launcher.Started()
	for _, p := range s.pools {
		for _, status := range p.Status() {
			if !status.Process.IsZero() {
				leaders[status.Process.PID] = true
			}
		}
	}
	return leaders
}

func union(a, b []procscan.Process) []procscan.Process {
	for _, p := range b {
		if !slices.ContainsFunc(a, func(known procscan.Process) bool { return known.ID == p.ID }) {
			a = append(a, p)
		}
	}
	return a
}

// noteOutlived keeps how a process was ended; two may have ended it at the same
// time, and the stronger signal counts. The caller holds the mutex.
func (s *supervisor) noteOutlived(e procscan.Ended, what string) {
	r := pool.StopResult{Worker: what, PID: e.ID.PID, Exit: "ended", Signal: e.Signal, Took: e.Took}
	at := slices.IndexFunc(s.stopping.outlived, func(o pool.StopResult) bool { return o.PID == r.PID })
	switch {
	case at < 0:
		s.stopping.outlived = append(s.stopping.outlived, r)
	case r.Signal == "KILL":
		s.stopping.outlived[at].Signal = r.Signal
	}
}

// tellOutlived tells of them when all are known.
func (s *supervisor) tellOutlived() {
	s.stopping.mu.Lock()
	defer s.stopping.mu.Unlock()
	for _, r := range s.stopping.outlived {
		s.logger.Info("ended a process that was "+r.Worker, "pid", r.PID, "signal", r.Signal)
		if s.opts.Stopped != nil {
			s.opts.Stopped(r)
		}
	}
}
