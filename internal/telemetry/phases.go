package telemetry

import (
	"slices"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// restartPhases are the states that take up the time of a restart.
func restartPhases() []pool.State {
	return []pool.State{pool.Stopping, pool.Releasing, pool.Backoff, pool.Starting}
}

// life follows one worker from state to state.
type life struct {
	since      time.Time // when it came into its state
	restarting bool
	waiting    []phase // passed, not known to be part of a restart yet
}

type phase struct {
	name string
	took time.Duration
}

// move returns the phases of a restart that are now known. A first start and a
// stop pass through some of the same states: what was passed counts once an
// event has said that this is a restart.
func (l *life) move(r Record) []phase {
	if slices.Contains(restartPhases(), pool.State(r.From)) {
		l.waiting = append(l.waiting, phase{r.From, r.Time.Sub(l.since)})
	}
	l.since = r.Time
	l.restarting = l.restarting || r.Cause != ""
	var known []phase
	if l.restarting {
		known, l.waiting = l.waiting, nil
	}
	switch pool.State(r.To) {
	case pool.Ready, pool.Failed, pool.Stopped:
		l.restarting, l.waiting = false, nil
	}
	return known
}
