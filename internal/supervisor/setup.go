package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// What a run takes before its workers start: the socket, and the pools.

func (s *supervisor) listen() (net.Listener, error) {
	path, err := rundir.SocketPath(s.opts.RuntimeDir, os.TempDir(), os.Getuid(), s.opts.Config.RunID)
	if err != nil {
		return nil, err
	}
	// We hold the lock, so a socket that is there belongs to nobody any more.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot remove a stale socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the control socket: %w", err), listener.Close())
	}
	s.socket = path
	return listener, nil
}

func (s *supervisor) makePools() error {
	var err error
	if s.registry, err = s.dir.OpenRegistry(); err != nil {
		return err
	}
	commands := map[string]func(pool.Spec) pool.Command{}
	for _, p := range s.opts.Config.Pools {
		if commands[p.Name], err = s.commandOf(p); err != nil {
			return errors.Join(err, s.registry.Close())
		}
	}
	s.launcher, err = pool.NewExecLauncher(
		func(spec pool.Spec) pool.Command { return commands[spec.Pool](spec) },
		s.openOutput,
		s.opts.Without.ofWorkers()...,
	)
	if err != nil {
		return errors.Join(err, s.registry.Close())
	}
	if s.adopts {
		s.launcher.TakeAdopted()
	}
	gate := pool.NewGate()
	s.launcher.OnNotice(s.note)
	for _, p := range s.opts.Config.Pools {
		options := poolOptions(s.opts.Config, p)
		options.Gate = gate
		options.Admit = func(more int) error { return s.admit(p, more) }
		options.Launcher, options.Registry = s.launcher, registryOf{s.registry}
		options.Observer, options.Calls = observer(s.observe), s.metrics.calls()
		made, err := pool.New(options)
		if err != nil {
			return errors.Join(err, s.launcher.Close(), s.registry.Close())
		}
		s.pools = append(s.pools, made)
	}
	s.metrics.watch(s.pools)
	return nil
}

// beginForkservers has them import what workers need while the guard starts.
func (s *supervisor) beginForkservers() {
	for _, p := range s.opts.Config.Pools {
		s.launcher.Begin(pool.Spec{
			RunID: s.opts.Config.RunID, Pool: p.Name, Host: s.opts.Config.Host,
			Grace: s.opts.Config.Grace, ReadyTimeout: s.opts.Config.ReadyTimeout,
		})
	}
}

// commandOf is the program of a pool's workers: Python's, or a foreign one.
func (s *supervisor) commandOf(p config.Pool) (func(pool.Spec) pool.Command, error) {
	if len(p.Command) > 0 {
		command, err := foreignCommand(p.Command, p.Ready, p.Env, s.key)
		if err != nil {
			what := fmt.Sprintf("the command %q of pool %q", strings.Join(p.Command, " "), p.Name)
			return nil, &config.Error{What: what, Reason: err.Error(), Hint: "name a program that is on PATH, or give its path"}
		}
		return command, nil
	}
	return workerCommand(s.opts.Config, p, s.opts.Python, s.key), nil
}

// poolOptions are the settings of a pool, its own and those of the run.
func poolOptions(c config.Config, p config.Pool) pool.Options {
	return pool.Options{
		RunID: c.RunID, Name: p.Name, Workers: p.Workers, Host: c.Host, BasePort: p.BasePort,
		ReadyTimeout: c.ReadyTimeout, Grace: said(c.Grace), ReleaseTimeout: c.ReleaseTimeout,
		MaxRestarts: said(c.MaxRestarts), RestartWindow: c.RestartWindow,
		HealthInterval: said(c.HealthInterval), HealthTimeout: c.HealthTimeout,
		MaxMemory: p.MaxMemory, TTL: p.TTL, MaxCalls: p.MaxCalls,
		LeaveResources: c.ResourceCleanup == config.ResourcesOff,
	}
}

// said makes a setting that may be zero one that a pool understands: it takes 0
// for "not said", and a negative number for none.
func said[T int | time.Duration](value T) T {
	if value == 0 {
		return -1
	}
	return value
}

// ofWorkers are the layers that are the launcher's.
func (l Layers) ofWorkers() (off []pool.Layer) {
	if l.Lifeline {
		off = append(off, pool.Lifeline)
	}
	if l.ParentDeathSignal {
		off = append(off, pool.ParentDeathSignal)
	}
	return off
}

// note tells of what happens beside the workers.
func (s *supervisor) note(n pool.Notice) {
	s.events.Emit(telemetry.Record{Event: string(n.Kind), Pool: n.Pool, Worker: n.Worker, PID: n.PID, Reason: n.Reason})
	if n.Kind == pool.ForkFallback {
		s.tell(fmt.Sprintf("the workers of pool %q are spawned from here on, not forked: %s", n.Pool, n.Reason))
	}
}

func (s *supervisor) observe(e pool.Event) {
	s.events.Observe(e)
	s.service.changed()
	if s.opts.Observe != nil {
		s.opts.Observe(e)
	}
}

type observer func(pool.Event)

func (o observer) Observe(e pool.Event) { o(e) }
