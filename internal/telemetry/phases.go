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
	left       time.Time // when it came out of one in which it could have stayed
	restarting bool
	waiting    []phase // passed, not known to be part of a restart yet
}

type phase struct {
	name string
	took time.Duration
}

// move returns the phases of a restart that are now known, and how long the whole
// took when it is over. A first start and a stop pass through some of the same
// states: what was passed counts once an event has said that this is a restart.
func (l *life) move(r Record) (known []phase, away time.Duration) {
	if settled(r.From) || l.left.IsZero() {
		l.left = r.Time
	}
	if slices.Contains(restartPhases(), pool.State(r.From)) {
		l.waiting = append(l.waiting, phase{r.From, r.Time.Sub(l.since)})
	}
	l.since = r.Time
	l.restarting = l.restarting || r.Cause != ""
	if l.restarting {
		known, l.waiting = l.waiting, nil
	}
	if l.restarting && r.To == string(pool.Ready) {
		away = r.Time.Sub(l.left)
	}
	if settled(r.To) {
		l.restarting, l.waiting = false, nil
	}
	return known, away
}

// settled says whether a worker stays in the state unless something happens.
func settled(state string) bool {
	switch pool.State(state) {
	case pool.Ready, pool.Failed, pool.Stopped:
		return true
	}
	return false
}
