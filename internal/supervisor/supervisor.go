// Package supervisor runs a run: it takes the run's lock, starts guard, pools
// and control socket, waits for a reason to end, and ends everything. What it
// shows goes through callbacks; it prints nothing.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/systemd"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Options are what a run needs. The callbacks may be nil.
type Options struct {
	Config     config.Config
	Python     pyenv.Environment
	Runs       string // the directory of all runs
	RuntimeDir string // for the socket; may be empty
	Version    string
	Executable string // this program, for the guard

	// Service is who has started this program and wants to hear of it; may be nil.
	Service *systemd.Manager

	// Without are the layers against orphans that are off, for tests of the
	// others.
	Without Layers

	// Signals are reasons to end. The first asks for an orderly stop, the
	// second skips the grace time.
	Signals <-chan os.Signal

	Observe func(pool.Event)          // each change of a worker
	Output  func(worker, line string) // each line that a worker prints
	Ready   func(control.Description, []*pool.Pool)
	Stopped func(pool.StopResult) // each worker as it ends
	Warn    func(text string)     // what went wrong beside the workers; also in supervisor.log
	Events  telemetry.Sink        // each event of the run
}

// Layers are ways in which a run's processes end when its supervisor has died.
type Layers struct{ Lifeline, ParentDeathSignal, Guard bool }

// Outcome is how a run ended.
type Outcome struct {
	RunID   string
	Ready   bool // every worker was ready once
	Looked  bool // survivors were looked for; false only with an error
	Summary control.StopSummary
}

// Run runs a run from its lock to its last word. The error says why the run did
// not start or what failed beside the workers; everything that was started has
// been stopped then, but for the survivors in the Outcome.
func Run(ctx context.Context, o Options) (Outcome, error) {
	s := &supervisor{opts: o, outcome: Outcome{RunID: o.Config.RunID}, state: rundir.StateStarting, stopping: newStopping()}
	s.service = newService(o.Service, s.warn)
	defer s.stopping.hurry()
	err := s.run(ctx)
	return s.outcome, err
}

type supervisor struct {
	opts     Options
	outcome  Outcome
	self     procscan.ID
	key      string // tells this run from others of the same name
	adopts   bool   // nobody but descendants of workers becomes our child
	dir      *rundir.Run
	socket   string
	log      *os.File // supervisor.log
	logger   *slog.Logger
	events   *telemetry.Log
	metrics  *metrics
	launcher *pool.ExecLauncher
	guards   *guards
	registry *rundir.Registry
	pools    []*pool.Pool
	record   rundir.Record
	service  *service

	stopping *stopping

	mu    sync.Mutex // guards state; nothing waits under it
	state string
}

// run is a list of what a run takes and gives back, then one wait.
func (s *supervisor) run(ctx context.Context) (err error) {
	id := s.opts.Config.RunID
	keepDescriptors()
	if s.key, err = config.NewRunID(); err != nil {
		return fmt.Errorf("cannot start run %q: %w", id, err)
	}
	if s.self, err = procscan.Lookup(os.Getpid()); err != nil {
		return fmt.Errorf("cannot start run %q: %w", id, err)
	}
	if s.adopts, err = adoptsOnlyDescendants(ctx, s.self); err != nil {
		return fmt.Errorf("cannot start run %q: %w", id, err)
	}
	found := s.sweep(ctx)
	if s.dir, err = rundir.Create(ctx, s.opts.Runs, id); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.dir.Close()) }()
	defer func() { err = s.recordRefusal(err) }()
	for _, broken := range s.dir.Broken() {
		s.tell(broken.String())
	}
	began := time.Now()
	if err := refuseLeftovers(ctx, id, s.dir.Previous(), s.dir.Leftover()); err != nil {
		return err
	}
	scanned := time.Since(began)
	if err := s.openLog(); err != nil {
		return err
	}
	defer s.log.Close()
	for _, broken := range s.dir.Broken() {
		s.logger.Warn("a file of an earlier run of this id", "error", broken)
	}
	if err := s.openMetrics(found); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.metrics.close()) }()
	s.metrics.scan(scanned)
	if _, err := rundir.Prune(s.opts.Runs, keepRuns); err != nil {
		s.warn("cannot prune ended runs", err)
	}
	if s.events, err = telemetry.Open(s.dir.EventsPath(), id, s.logger, s.sinks()...); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.events.Close()) }()
	s.tellSwept(found)

	defer func() { err = errors.Join(err, s.guards.dismiss()) }() // when the socket is gone
	listener, err := s.listen()
	if err != nil {
		return err
	}
	defer listener.Close() // removes the socket; it is ours because the lock is

	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)
	if err := becomeSubreaper(); err != nil {
		return err
	}
	if err := s.makePools(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.launcher.Close(), s.registry.Close()) }()
	// A guard that has to take over at once learns from the record what to remove.
	if err := s.writeRecord(); err != nil {
		return err
	}
	s.beginForkservers()
	if err := s.startGuard(); err != nil {
		s.record = rundir.Record{} // one with its end takes the place of that
		return err
	}
	if err := s.writeRecord(); err != nil {
		_, _, failed := s.guards.ask()
		return errors.Join(err, failed)
	}

	server := control.NewServer(s, os.Getuid())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer server.Close(time.Second)

	s.events.Emit(telemetry.Record{Event: telemetry.RunStarting, PID: s.self.PID})
	started := make(chan error, 1)
	startCtx, cancelStart := context.WithCancelCause(ctx)
	defer cancelStart(nil)
	go func() { started <- s.startPools(startCtx) }()

	watchdog, stopWatchdog := s.service.watchdog()
	defer stopWatchdog()
	interrupts := 0
	var guardMayStart <-chan time.Time
	for {
		select {
		case <-s.guards.died():
			guardMayStart = s.replaceGuard()
		case <-guardMayStart:
			guardMayStart = s.replaceGuard()
		case failure := <-started:
			if failure != nil && s.setState(rundir.StateStopping) {
				err = failure
				go s.Stop(control.StopOptions{})
			} else if failure == nil {
				s.becomeReady()
			}
		case received := <-s.opts.Signals:
			interrupts++
			s.setState(rundir.StateStopping)
			cancelStart(fmt.Errorf("interrupted by %v", received))
			go s.Stop(control.StopOptions{Force: interrupts > 1})
		case failure := <-served:
			err = errors.Join(err, fmt.Errorf("cannot serve the control socket: %w", failure))
			served = nil
			s.setState(rundir.StateStopping)
			go s.Stop(control.StopOptions{})
		case <-watchdog:
			s.service.say(systemd.Alive)
		case <-s.service.moved:
			s.tellService()
		case <-children:
			s.launcher.ReapStrangers()
		case <-s.stopping.over:
			return errors.Join(err, s.finish(err))
		}
	}
}

// keepRuns is how many ended runs are kept on disk.
const keepRuns = 20

// openLog opens supervisor.log. A detached supervisor has no other place for its
// words, nor for those of a crash of this program.
func (s *supervisor) openLog() (err error) {
	path := s.dir.LogPath("supervisor")
	if s.log, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("cannot open the supervisor's log: %w", err)
	}
	s.logger = telemetry.NewLogger(s.log, s.opts.Config.LogFormat == config.LogJSON)
	if err := debug.SetCrashOutput(s.log, debug.CrashOptions{}); err != nil {
		return fmt.Errorf("cannot open the supervisor's log: %w", err)
	}
	return nil
}

// startPools starts all pools together; the first failure ends the start.
func (s *supervisor) startPools(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range s.pools {
		group.Go(func() error { return p.Start(ctx) })
	}
	return group.Wait()
}

func (s *supervisor) becomeReady() {
	if !s.setState(rundir.StateRunning) {
		return
	}
	s.outcome.Ready = true
	s.service.ready(s.pools)
	s.events.Emit(telemetry.Record{Event: telemetry.RunReady, PID: s.self.PID})
	if err := s.writeRecord(); err != nil {
		s.warn("cannot write the record", err)
	}
	if s.opts.Ready != nil {
		s.opts.Ready(s.Describe(), s.pools)
	}
}

// setState returns false when the run is stopping already.
func (s *supervisor) setState(state string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == rundir.StateStopping {
		return false
	}
	s.state = state
	return true
}

// tellService says how the workers are, unless the run is stopping: then it has said
// that.
func (s *supervisor) tellService() {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	switch state {
	case rundir.StateStarting:
		s.service.starting(s.pools, s.opts.Config.ReadyTimeout)
	case rundir.StateRunning:
		s.service.running(s.pools)
	}
}

// Describe implements control.Run.
func (s *supervisor) Describe() control.Description {
	guard := s.guards.id()
	s.mu.Lock()
	defer s.mu.Unlock()
	return control.Description{RunID: s.opts.Config.RunID, State: s.state, Version: s.opts.Version, Supervisor: s.self, Guard: guard}
}

// Pools implements control.Run.
func (s *supervisor) Pools() []*pool.Pool { return s.pools }

func (s *supervisor) warn(what string, err error) {
	s.logger.Warn(what, "error", err)
	s.tell(fmt.Sprintf("%s: %v", what, err))
}

// tell says to whoever watches what is in the log already.
func (s *supervisor) tell(text string) {
	if s.opts.Warn != nil {
		s.opts.Warn(text)
	}
}
