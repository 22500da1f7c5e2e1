package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// survivors are who is there when everything was stopped: those whom the pools
// could not end and those whom the look has found, each once, and what ports are
// held. What the pools have said is some seconds old, and is looked at again. The notes
// are about what does no harm.
func (s *supervisor) survivors(left []procscan.Process) (all []pool.Survivor, notes []string) {
	s.stopping.mu.Lock()
	all = slices.DeleteFunc(slices.Clone(s.stopping.survivors), gone)
	s.stopping.mu.Unlock()
	for _, p := range left {
		known := func(s pool.Survivor) bool { return s.PID == p.PID }
		if !slices.ContainsFunc(all, known) {
			all = append(all, pool.Survivor{PID: p.PID, What: strings.Join(p.Args, " ")})
		}
	}
	held, notes := s.stillHeld()
	return append(all, held...), notes
}

func gone(survivor pool.Survivor) bool {
	_, err := procscan.Lookup(survivor.PID)
	return errors.Is(err, procscan.ErrGone)
}

// failures are what went wrong on the way.
func (s *supervisor) failures(last error) []string {
	s.stopping.mu.Lock()
	defer s.stopping.mu.Unlock()
	all := slices.Clone(s.stopping.errors)
	if last != nil {
		all = append(all, last.Error())
	}
	return all
}

// stillHeld asks once more for the ports that workers could not get free. One that
// went to a worker of another run, as a free port may between its choice and its use,
// is not held by a survivor of this one.
func (s *supervisor) stillHeld() (held []pool.Survivor, notes []string) {
	s.stopping.mu.Lock()
	before := maps.Clone(s.stopping.held)
	s.stopping.mu.Unlock()
	for _, p := range s.pools {
		for _, status := range p.Status() {
			survivor, was := before[status.Worker]
			if !was || portcheck.Check(context.Background(), status.Host, status.Port) == nil {
				continue
			}
			owners, err := portcheck.MarkedOwners(context.Background(), status.Host, status.Port, procscan.RunAndWorker)
			if err == nil && ofOtherRuns(owners, s.opts.Config.RunID) {
				notes = append(notes, fmt.Sprintf("port %d of %s is held by %s now, which is another run's", status.Port, status.Worker, owners[0]))
				continue
			}
			held = append(held, survivor)
		}
	}
	return held, notes
}

// ofOtherRuns says that each holder of a port shows the marker of a run that is not
// this one.
func ofOtherRuns(owners []portcheck.Owner, runID string) bool {
	return len(owners) > 0 && !slices.ContainsFunc(owners, func(o portcheck.Owner) bool { return o.RunID == "" || o.RunID == runID })
}
