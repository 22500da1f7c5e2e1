package pool

import (
	"errors"
	"testing"
)

// legal is written out a second time on purpose: a change of the table must be
// meant.
var legal = map[[2]State]bool{
	{Pending, Starting}: true, {Pending, Blocked}: true, {Pending, Failed}: true, {Pending, Stopped}: true,
	{Pending, Backoff}: true,
	{Starting, Ready}:  true, {Starting, Stopping}: true, {Starting, Releasing}: true,
	{Ready, Stopping}: true, {Ready, Releasing}: true,
	{Stopping, Releasing}: true, {Stopping, Failed}: true, {Stopping, Stopped}: true,
	{Releasing, Pending}: true, {Releasing, Backoff}: true, {Releasing, Blocked}: true,
	{Releasing, Failed}: true, {Releasing, Stopped}: true,
	{Backoff, Pending}: true, {Backoff, Stopped}: true,
	{Blocked, Pending}: true, {Blocked, Stopped}: true,
	{Failed, Pending}: true, {Failed, Releasing}: true, {Failed, Stopped}: true,
	{Stopped, Pending}: true,
}

func TestEveryPairOfStates(t *testing.T) {
	for _, from := range States() {
		for _, to := range States() {
			err := transition("default-0", from, to)
			var refused *TransitionError
			switch {
			case legal[[2]State{from, to}]:
				if err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
				}
			case !errors.As(err, &refused) || refused.From != from || refused.To != to:
				t.Errorf("%s to %s: got %v, want a *TransitionError that says so", from, to, err)
			}
		}
	}
}

// Every state is reached by the loop's own check, not only by the table.
func TestEveryPairOfMoves(t *testing.T) {
	for _, from := range States() {
		for _, to := range States() {
			w := newWorld(t, steady)
			p, err := New(w.options(1))
			if err != nil {
				t.Fatal(err)
			}
			slot := p.all()[0]
			slot.state, slot.incarnation = from, 2
			slot.move(to, "test")
			switch moved := slot.state == to && len(w.events) == 1; {
			case legal[[2]State{from, to}] && !moved:
				t.Errorf("%s to %s: it is %s", from, to, slot.state)
			case !legal[[2]State{from, to}] && (slot.state != from || len(w.events) != 0):
				t.Errorf("%s to %s was let through: it is %s", from, to, slot.state)
			}
		}
	}
}
