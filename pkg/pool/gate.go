package pool

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// How many workers may be starting together.
//
// Imports that keep the processors busy gain nothing from more than a few at a time;
// adapters that wait (for a network, a disk, a lock) gain as much as there are. Which
// it is, the starts themselves tell. Where the processors are the limit, twice as many
// together take twice as long each; where they are not, they take as long as before. So
// as long as more of them wait, the limit is doubled, and goes back to the one before
// when starts took half as long again. A limit is learned anew for every storm: when
// nobody is starting, it is as it was.
//
// A system that refuses a process, for want of memory or because of a limit, halves it.

// Gate is where the workers of one or several pools wait for their turn to be
// launched, in the order in which they came. Pools that share a machine share one.
type Gate struct {
	least int // the limit before anything is known
	most  int // however well it goes

	mu       sync.Mutex // guards what follows; nothing waits under it
	limit    int
	starting int
	waiting  []chan pass
	round    int // counts the limits that were tried
	took     []time.Duration
	before   time.Duration // what a start took at the limit before; 0: that was the first
	settled  bool          // the limit is not raised any more
}

// pass lets one worker be launched.
type pass struct{ round int }

// NewGate makes a gate whose limit adapts, from twice the CPUs, and at least 4, up.
func NewGate() *Gate { return newGate(max(4, 2*runtime.NumCPU()), mostAtOnce) }

// mostAtOnce is how many may be starting however well it goes: each has a dozen threads.
const mostAtOnce = 128

// newFixedGate makes one whose limit is this.
func newFixedGate(limit int) *Gate { return newGate(limit, limit) }

func newGate(least, most int) *Gate {
	return &Gate{least: least, most: max(least, most), limit: least}
}

// enter waits for a turn. Who gets one gives it back by leave.
func (g *Gate) enter(ctx context.Context) (pass, bool) {
	g.mu.Lock()
	if g.starting < g.limit && len(g.waiting) == 0 {
		defer g.mu.Unlock()
		g.starting++
		return pass{g.round}, true
	}
	turn := make(chan pass, 1)
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case p := <-turn:
		return p, true
	case <-ctx.Done():
		g.withdraw(turn)
		return pass{}, false
	}
}

// withdraw takes back a wait, or the turn that came meanwhile.
func (g *Gate) withdraw(turn chan pass) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, turn); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return
	}
	g.starting--
	g.admit()
}

// leave gives a turn back. The worker took so long to become ready; 0: it did not.
func (g *Gate) leave(p pass, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.starting--
	if took > 0 && p.round == g.round && !g.settled && len(g.waiting) > 0 { // else more would be of no use
		g.took = append(g.took, took)
		g.learn()
	}
	g.admit()
}

// busy says whether anybody is starting.
func (g *Gate) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.starting > 0
}

// refused tells that the system would start no more processes.
func (g *Gate) refused() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.try(max(1, min(g.limit, g.starting)/2))
	g.settled = true
}

// learn judges the limit once half as many starts are over as it lets in: those that
// began together end together, and the rest would only be waited for.
func (g *Gate) learn() {
	if 2*len(g.took) < g.limit {
		return
	}
	mean := meanOf(g.took)
	switch {
	case g.before > 0 && mean > g.before+g.before/2:
		g.try(max(g.least, g.limit/2))
		g.settled = true
	case g.limit == g.most:
		g.settled = true
	default:
		g.try(min(g.most, 2*g.limit))
		g.before = mean
	}
}

func (g *Gate) try(limit int) {
	g.limit, g.took = limit, nil
	g.round++
}

// admit lets in as many as the limit says.
func (g *Gate) admit() {
	if g.starting == 0 && len(g.waiting) == 0 {
		g.try(g.least)
		g.before, g.settled = 0, false
	}
	for g.starting < g.limit && len(g.waiting) > 0 {
		g.waiting[0] <- pass{g.round}
		g.waiting = g.waiting[1:]
		g.starting++
	}
}

func meanOf(all []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}

// isShortage tells a launch that failed for want of processes, memory or descriptors:
// that passes, and says nothing of the worker.
func isShortage(err error) bool {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.Kind == "fork" // the forkserver's own fork(2) failed
	}
	return slices.ContainsFunc([]error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE},
		func(short error) bool { return errors.Is(err, short) })
}
