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

// scope is what is known about the run whose leftovers are looked for.
type scope struct {
	runs, runID, key string
	facts            *procscan.Facts
	problems         []error // why not everything is known
	living           map[procscan.ID]string
	closed           []procscan.ID // at the last look: those that could not be looked at
}

// scopeOf reads what the files of the run say. Only a dead run's registry is
// asked: whom a living supervisor has registered is its own affair.
func scopeOf(runs, runID, key string, supervisor procscan.ID, dead bool) *scope {
	s := &scope{runs: runs, runID: runID, key: key, facts: &procscan.Facts{
		RunID: runID, Key: key, Lock: procscan.LockFree, Owner: os.Geteuid(), Supervisor: supervisor,
	}}
	if !dead {
		return s
	}
	s.facts.Supervisor = procscan.ID{} // a late guard's parent is whoever adopted it
	run, err := rundir.Open(runs, runID)
	s.doubt(err)
	for _, p := range run.Problems {
		s.doubt(errors.New(p.String()))
	}
	if run.Record != nil {
		s.facts.Supervisor = run.Record.Supervisor.ID()
	}
	entries, err := rundir.ReadRegistry(run.Dir)
	s.doubt(err)
	for _, e := range entries {
		if e.PID != 0 {
			s.facts.Registered = append(s.facts.Registered, e.ID())
		}
	}
	return s
}

func (s *scope) doubt(problem error) {
	if problem != nil {
		s.problems = append(s.problems, problem)
	}
}

// find are the processes that have to go, as they are now: who carries the
// marker of the run with its key, unless it is of a living run that was started from
// within this one; whom the registry names and who looks like a
// worker that has hidden its marker; and who has cleaned its environment, but
// belongs to one of these. The last are known only while that one lives, and so
// are collected before anybody is signalled.
func (s *scope) find(ctx context.Context) ([]procscan.Target, error) {
	// Most often there is nobody, which takes half as long to see.
	quick, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true, Ancestors: true, Also: s.facts.Registered})
	s.closed = quick.CouldBeOf(s.facts.Supervisor)
	if len(s.marked(quick)) == 0 && !slices.ContainsFunc(quick.Processes, s.mayBeRegistered) {
		return nil, err
	}
	if err := s.readOthers(); err != nil {
		return nil, err
	}
	all, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true, Tree: true, Also: s.facts.Registered})
	s.closed = all.CouldBeOf(s.facts.Supervisor)
	condemned := slices.DeleteFunc(s.marked(all), func(p procscan.Process) bool { return all.OfLiving(p, s.living) != "" })
	var targets []procscan.Target
	for _, p := range condemned {
		targets = append(targets, procscan.Target{ID: p.ID, RunID: s.runID})
	}
	for _, p := range all.Processes {
		if s.mayBeRegistered(p) && procscan.RegisteredOnly(p, all, s.facts) == "" {
			condemned = append(condemned, p)
			targets = append(targets, procscan.Target{ID: p.ID, RunID: s.runID, TrustIdentity: true})
		}
	}
	for _, kin := range all.KinOf(condemned, s.facts.Others) {
		targets = append(targets, procscan.Target{ID: kin.ID, RunID: s.runID, TrustIdentity: true})
	}
	return targets, err
}

// marked carry the marker of the run and its key.
func (s *scope) marked(all procscan.Snapshot) []procscan.Process {
	return slices.DeleteFunc(all.Run(s.runID), procscan.NotOf(s.key))
}

// mayBeRegistered are those whom the registry names and whose marker does not
// say otherwise. The file can be damaged or edited, so that there is more to ask
// before it is believed.
func (s *scope) mayBeRegistered(p procscan.Process) bool {
	return slices.Contains(s.facts.Registered, p.ID) && !p.Condemns && (p.Key == "" || p.Key == s.key) && !p.State.IsDead()
}

// readOthers asks the files of all runs who is known as something else.
func (s *scope) readOthers() error {
	if s.facts.Others != nil {
		return nil
	}
	runs, _, err := rundir.List(s.runs)
	if err != nil {
		return err
	}
	s.facts.Others, _ = rundir.Others(runs, s.runID) // a broken registry names nobody, and is its own run's affair
	living := slices.DeleteFunc(rundir.Living(runs), func(run rundir.Found) bool { return run.RunID == s.runID })
	s.living, _ = rundir.Others(living, s.runID)
	return nil
}

// sweep ends what is found, and looks until there is nothing new.
func (s *scope) sweep(ctx context.Context) Verdict {
	var left []procscan.ID
	find := func(ctx context.Context) ([]procscan.Target, error) {
		targets, err := s.find(ctx)
		left = idsOf(targets)
		return targets, err
	}
	ended, err := procscan.EndAll(ctx, find, procscan.EndOptions{Grace: grace, Thorough: true})
	if err != nil {
		err = fmt.Errorf("cannot end run %s: %w", s.runID, err)
	}
	return s.complete(verdictOf(ended, left), err)
}

// report names what sweep would end. Those that end by themselves within the
// grace time, as their supervisor's death or TERM has told them to, are no
// finding; whose kin was found before is looked for by itself.
func (s *scope) report(ctx context.Context) Verdict {
	first, err := s.find(ctx)
	if len(first) > 0 {
		awaitEnds(ctx, first)
		var again []procscan.Target
		again, err = s.find(ctx)
		first = append(living(first), again...)
	}
	found := map[int]bool{}
	for _, t := range first {
		found[t.ID.PID] = true
	}
	all := pids(found)
	return s.complete(Verdict{Found: all, Killed: []int{}, Survivors: all}, err)
}

func living(targets []procscan.Target) []procscan.Target {
	return slices.DeleteFunc(targets, func(t procscan.Target) bool {
		alive, err := t.ID.Alive()
		return err == nil && !alive
	})
}

// awaitEnds waits for all of them together, for the grace time.
func awaitEnds(ctx context.Context, targets []procscan.Target) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for _, t := range targets {
		if handle, err := procscan.Open(t.ID); err == nil {
			_ = handle.Wait(ctx) // who is left, the next look tells
			_ = handle.Close()
		}
	}
}
