package supervisor

import (
	"fmt"
	"sync"
	"time"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/guard"
	"github.com/snakepit-dev/snakepit/internal/systemd"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// service is what a run says to the service manager that has started it, if one
// has. The run's own loop says it: when that hangs, the watchdog hears nothing.
type service struct {
	manager *systemd.Manager
	warn    func(what string, err error)
	failed  sync.Once
	moved   chan struct{} // a worker has; full when that is not told yet
	status  string        // the last one that was told
}

func newService(m *systemd.Manager, warn func(string, error)) *service {
	return &service{manager: m, warn: warn, moved: make(chan struct{}, 1)}
}

// say is heard or not: a run goes on without it. That nobody hears is told once.
func (s *service) say(what ...string) {
	if err := s.manager.Notify(what...); err != nil {
		s.failed.Do(func() { s.warn("the service manager does not hear this run", err) })
	}
}

// changed may be called by anybody, and does not wait.
func (s *service) changed() {
	if s.manager == nil {
		return
	}
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// slack is added to the times that a run allows itself, when more is asked for.
const slack = 30 * time.Second

// starting says how far the start is. Each worker that moves asks for the time that
// one may take: the run gives up by itself, with a reason.
func (s *service) starting(pools []*pool.Pool, readyTimeout time.Duration) {
	if s.manager != nil {
		s.say(readiness(pools), systemd.Extend(readyTimeout+slack))
	}
}

func (s *service) ready(pools []*pool.Pool) {
	if s.manager != nil {
		s.status = readiness(pools)
		s.say(systemd.Ready, s.status)
	}
}

// running says how many workers serve, when that has changed.
func (s *service) running(pools []*pool.Pool) {
	if s.manager == nil {
		return
	}
	if now := readiness(pools); now != s.status {
		s.status = now
		s.say(now)
	}
}

func readiness(pools []*pool.Pool) string {
	ready, desired := 0, 0
	for _, p := range pools {
		desired += p.Desired()
		for _, w := range p.Status() {
			if w.State == pool.Ready {
				ready++
			}
		}
	}
	return systemd.Status("%d/%d workers ready", ready, desired)
}

// watchdog ticks twice in the time in which the service manager wants to hear.
func (s *service) watchdog() (ticks <-chan time.Time, stop func()) {
	every := s.manager.Watchdog()
	if every == 0 {
		return nil, func() {}
	}
	ticker := time.NewTicker(every / 2)
	return ticker.C, ticker.Stop
}

// stopping asks for the time that a stop may take, the look of the guard included.
func (s *service) stopping(grace time.Duration) {
	s.say(systemd.Stopping, systemd.Status("stopping"), systemd.Extend(grace+guard.Patience+slack))
}

func (s *service) stopped(summary control.StopSummary) {
	text := "stopped; nobody is left"
	left := len(summary.Survivors)
	if g := summary.Guard; g != nil {
		left += len(g.Survivors)
	}
	if left > 0 {
		text = fmt.Sprintf("stopped; %d survivors: see snakepit orphans", left)
	}
	s.say(systemd.Status("%s", text))
}
