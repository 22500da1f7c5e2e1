package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// survivors are who is there when everything was stopped: those whom the pools
// could not end and those whom the look has found, each once, and what ports are
// held. What the pools have said is some seconds old, and is looked at again.
func (s *supervisor) survivors(left []procscan.Process) []pool.Survivor {
	s.stopping.mu.Lock()
	all := slices.DeleteFunc(slices.Clone(s.stopping.survivors), gone)
	s.stopping.mu.Unlock()
	for _, p := range left {
		known := func(s pool.Survivor) bool { return s.PID == p.PID }
		if !slices.ContainsFunc(all, known) {
			all = append(all, pool.Survivor{PID: p.PID, What: strings.Join(p.Args, " ")})
		}
	}
	return append(all, s.stillHeld()...)
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

// stillHeld asks once more for the ports that workers could not get free.
func (s *supervisor) stillHeld() []pool.Survivor {
	s.stopping.mu.Lock()
	defer s.stopping.mu.Unlock()
	var held []pool.Survivor
	for _, p := range s.pools {
		for _, status := range p.Status() {
			survivor, was := s.stopping.held[status.Worker]
			if was && portcheck.Check(context.Background(), status.Host, status.Port) != nil {
				held = append(held, survivor)
			}
		}
	}
	return held
}
