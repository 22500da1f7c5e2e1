package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/guard"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// A guard that dies is replaced, but not more often than this: something ends it
// again and again, and a process a second would help nobody.
const (
	guardRestarts = 5
	guardWindow   = time.Minute
)

// errNoGuard says that there is no guard and none is wanted.
var errNoGuard = errors.New("there is no guard")

// watcher is a guard as its supervisor sees it: a *guard.Guard.
type watcher interface {
	ID() procscan.ID // zero when it has ended
	PID() int
	Done() <-chan struct{}
	Clean() (guard.Verdict, error)
	Settled() // returns when it has ended, or will not
}

// guards is the guard of a run, and the next one when it dies.
type guards struct {
	start func() (watcher, error)
	now   func() time.Time

	mu      sync.Mutex // guards the rest, and is held while a guard is born
	current watcher
	retired bool    // the last look has begun: no other is started
	witness watcher // has given its verdict, and stays until the end is written down
	starts  []time.Time
}

// startGuard starts the first guard; what it has to say goes to the supervisor's
// log.
func (s *supervisor) startGuard() error {
	s.guards = &guards{start: s.newGuard, now: time.Now}
	if !s.wantsGuard() {
		s.guards.start = nil
		return nil
	}
	_, err := s.guards.replace()
	return err
}

func (s *supervisor) wantsGuard() bool {
	return s.opts.Config.EmergencyCleanup != config.CleanupOff && !s.opts.Without.Guard
}

func (s *supervisor) newGuard() (watcher, error) {
	flags := []string{"--key", s.key}
	if s.opts.Config.EmergencyCleanup == config.CleanupReport {
		flags = append(flags, "--report-only")
	}
	if s.opts.Config.LogFormat == config.LogJSON {
		flags = append(flags, "--log-json")
	}
	g, err := guard.Start(s.launcher, s.opts.Executable, s.opts.Config.RunID, s.opts.Runs, s.log, flags...)
	if err != nil {
		return nil, err
	}
	s.events.Emit(telemetry.Record{Event: telemetry.GuardStarted, PID: g.PID()})
	return g, nil
}

// replaceGuard is what follows the death of a guard. It returns when to try
// again; nil when there is nothing more to do.
func (s *supervisor) replaceGuard() <-chan time.Time {
	pid, wanted := s.guards.bury()
	if !wanted {
		return nil
	}
	if pid != 0 {
		s.events.Emit(telemetry.Record{Event: telemetry.GuardDied, PID: pid, Reason: "it ended unasked"})
		s.warn("the guard died", fmt.Errorf("PID %d ended unasked", pid))
	}
	wait, err := s.guards.replace()
	if err != nil {
		s.warn("there is no guard now", err)
	}
	if err := s.writeRecord(); err != nil {
		s.warn("cannot write the record", err)
	}
	if wait == 0 {
		return nil
	}
	return time.After(wait)
}

// died is closed when the guard has ended; nil while there is none.
func (g *guards) died() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current == nil || g.retired {
		return nil
	}
	return g.current.Done()
}

// bury forgets a guard that has ended, and returns its PID if there was one, and
// whether another is wanted.
func (g *guards) bury() (pid int, wanted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return 0, false
	}
	if g.current != nil {
		pid, g.current = g.current.PID(), nil
	}
	return pid, true
}

// replace starts a guard if there is none, or says after which time it may.
func (g *guards) replace() (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current != nil || g.retired {
		return 0, nil
	}
	now := g.now()
	for len(g.starts) > 0 && now.Sub(g.starts[0]) >= guardWindow {
		g.starts = g.starts[1:]
	}
	if len(g.starts) > guardRestarts {
		wait := guardWindow - now.Sub(g.starts[0])
		return wait, fmt.Errorf("it died %d times within a minute, so nobody looks after this run if its supervisor dies too; the next is started in %v",
			len(g.starts), wait.Round(time.Second))
	}
	g.starts = append(g.starts, now)
	var err error
	if g.current, err = g.start(); err != nil {
		g.current = nil
		return guardWindow, err
	}
	return 0, nil
}

// id is the living guard; zero when there is none.
func (g *guards) id() procscan.ID {
	if g == nil {
		return procscan.ID{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current == nil {
		return procscan.ID{}
	}
	return g.current.ID()
}

// mute is a guard that gave no verdict, and what became of it.
type mute struct {
	pid  int
	fate string // follows "the guard with PID 7"
}

func (m mute) String() string {
	return fmt.Sprintf("the guard with PID %d %s; another one has looked in its place", m.pid, m.fate)
}

// ask has the guard look after a clean stop. If it has died, or does not answer,
// another is started for that alone: the look is promised.
func (g *guards) ask() (guard.Verdict, []mute, error) {
	g.mu.Lock()
	current := g.current
	g.retired = true
	g.mu.Unlock()
	if g.start == nil {
		return guard.Verdict{}, nil, errNoGuard
	}
	var silent []mute
	var failed error
	if current != nil {
		verdict, fate, err := lastWordOf(current)
		if err == nil {
			g.keep(current)
			return verdict, nil, nil
		}
		silent, failed = []mute{{current.PID(), fate}}, err
	}
	another, err := g.start()
	if err != nil {
		return guard.Verdict{}, silent, errors.Join(failed, err)
	}
	verdict, fate, err := lastWordOf(another)
	if err != nil {
		return guard.Verdict{}, append(silent, mute{another.PID(), fate}), errors.Join(failed, err)
	}
	g.keep(another)
	return verdict, silent, nil
}

func (g *guards) keep(witness watcher) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.witness = witness
}

// dismiss lets the guard go that has given its verdict, when the end of the run is
// written down and nothing of the run is left to be removed. Until then it would do
// that, if this process was killed.
func (g *guards) dismiss() error {
	if g == nil {
		return nil // the run did not come so far
	}
	g.mu.Lock()
	witness := g.witness
	g.witness = nil
	g.mu.Unlock()
	if witness == nil {
		return nil
	}
	witness.Settled()
	_, err := seeOff(witness)
	return err
}

// lastWordOf asks a guard. One without an answer is gone afterwards in any case: if
// it only hangs, it would go on some day, and tell of a look that was over long ago.
func lastWordOf(g watcher) (v guard.Verdict, fate string, err error) {
	if v, err = g.Clean(); err == nil {
		return v, "", nil
	}
	fate, failed := seeOff(g)
	return v, fate, errors.Join(err, failed)
}

// seeOff ends a guard that has not ended by itself, and says what became of it.
func seeOff(g watcher) (fate string, err error) {
	fate = "ended without a verdict"
	if id := g.ID(); !id.IsZero() { // by its handle: what has the number then is this guard
		ended := procscan.End(context.Background(), []procscan.Target{{ID: id, TrustIdentity: true}}, procscan.EndOptions{})[0]
		if ended.Err != nil {
			return "does not answer, and cannot be killed", ended.Err
		}
		if ended.Signal != "" {
			fate = "did not answer, and was killed"
		}
	}
	<-g.Done()
	return fate, nil
}
