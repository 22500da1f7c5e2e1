package pool

import (
	"fmt"
	"slices"
)

// State is where a worker is in its life.
type State string

// The states of a worker.
const (
	Pending   State = "pending"   // waits for its turn to be launched
	Starting  State = "starting"  // the process is launched and not ready yet
	Ready     State = "ready"     // it said so, and answered a health RPC
	Stopping  State = "stopping"  // asked to end, not gone yet
	Releasing State = "releasing" // the process is gone; its port and registry entry are not known free yet
	Backoff   State = "backoff"   // waits before the next try
	Blocked   State = "blocked"   // its port is held by somebody else
	Failed    State = "failed"    // given up
	Stopped   State = "stopped"   // ended on request
)

// States lists every state, in the order in which a life passes through them.
func States() []State {
	return []State{Pending, Starting, Ready, Stopping, Releasing, Backoff, Blocked, Failed, Stopped}
}

// moves holds every legal move; what is not in it is refused.
var moves = map[State][]State{
	Pending:   {Starting, Backoff, Blocked, Failed, Stopped},
	Starting:  {Ready, Stopping, Releasing},
	Ready:     {Stopping, Releasing},
	Stopping:  {Releasing, Failed, Stopped}, // the last two: KILL did not end it
	Releasing: {Pending, Backoff, Blocked, Failed, Stopped},
	Backoff:   {Pending, Stopped},
	Blocked:   {Pending, Stopped},
	Failed:    {Pending, Releasing, Stopped}, // releasing: it ended at last
	Stopped:   {Pending},
}

// TransitionError is the refusal of an illegal move.
type TransitionError struct {
	Worker   string
	From, To State
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("cannot move worker %s from %s to %s: not a legal move", e.Worker, e.From, e.To)
}

// transition returns a *TransitionError unless the worker may make the move.
func transition(worker string, from, to State) error {
	if slices.Contains(moves[from], to) {
		return nil
	}
	return &TransitionError{Worker: worker, From: from, To: to}
}
