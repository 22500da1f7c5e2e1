package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/snakepit-dev/snakepit/internal/rundir"
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
		commands[p.Name] = workerCommand(s.opts.Config, p, s.opts.Python, s.key)
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
	grace := s.opts.Config.Grace
	if grace == 0 {
		grace = -1 // a pool takes 0 for "not said"
	}
	for _, p := range s.opts.Config.Pools {
		made, err := pool.New(pool.Options{
			RunID: s.opts.Config.RunID, Name: p.Name, Workers: p.Workers, Host: s.opts.Config.Host, BasePort: p.BasePort,
			ReadyTimeout: s.opts.Config.ReadyTimeout, Grace: grace,
			Launcher: s.launcher, Registry: registryOf{s.registry}, Observer: observer(s.observe), Calls: s.metrics.calls(),
		})
		if err != nil {
			return errors.Join(err, s.launcher.Close(), s.registry.Close())
		}
		s.pools = append(s.pools, made)
	}
	return nil
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

func (s *supervisor) observe(e pool.Event) {
	s.events.Observe(e)
	if s.opts.Observe != nil {
		s.opts.Observe(e)
	}
}

type observer func(pool.Event)

func (o observer) Observe(e pool.Event) { o(e) }
