package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// A forkserver, and what is said to it; python/snakepit/forkserver.py answers.

// forkserver is a running process that forks workers. One at a time speaks to it.
type forkserver struct {
	child  *child
	link   link
	served bool // it took requests; guarded by the forker's mutex
}

// forkPatience is how long a fork may take, and how long a forkserver that was
// asked may say nothing.
const forkPatience = 10 * time.Second

// forkRequest asks for a worker. Descriptors are the names of those that come with
// it, in their order.
type forkRequest struct {
	Worker      string   `json:"worker"`
	Port        int      `json:"port"`
	ParentDeath bool     `json:"parent_death"`
	Descriptors []string `json:"descriptors"`
}

// forkAnswer is everything that a forkserver says.
type forkAnswer struct {
	Ready   bool   `json:"ready"`
	PID     int    `json:"pid"`
	Adopted int    `json:"adopted"`
	Refused string `json:"refused"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// startServer starts a forkserver and waits until it takes requests. The caller has
// the turn.
func (f *forker) startServer(patience time.Duration) (*forkserver, error) {
	if err := canFork(); err != nil {
		return nil, &unfitError{err.Error()}
	}
	spec := Spec{RunID: f.runID, Pool: f.pool, Worker: ForkserverID(f.pool), Grace: time.Second}
	server, err := f.spawnServer(spec)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.server = server
	f.mu.Unlock()
	f.running.Go(func() { f.follow(server) })
	var said forkAnswer
	err = server.link.receive(f.retired, patience, &said)
	switch {
	case err == nil && said.Ready:
		f.mu.Lock()
		f.unready, f.served, server.served = 0, true, true
		f.mu.Unlock()
		return server, nil
	case err == nil:
		err = &unfitError{said.Message}
	case errors.Is(err, os.ErrDeadlineExceeded) && f.retired.Err() == nil:
		_ = server.child.DumpStacks() // into its log, for the error
		time.Sleep(200 * time.Millisecond)
		err = &ForkserverError{Err: fmt.Errorf("%w within %v", ErrReadyTimeout, patience), Output: server.child.output.Tail()}
	default:
		err = &ForkserverError{Err: errors.New("it ended before it was ready"), Output: server.child.Tail()}
		if f.retired.Err() == nil {
			f.launcher.notice(Notice{Pool: f.pool, Kind: ForkserverDied, Worker: spec.Worker, PID: server.child.id.PID, Reason: err.Error()})
		}
	}
	f.replace(server, err)
	return nil, err
}

func (f *forker) spawnServer(spec Spec) (*forkserver, error) {
	output, err := f.launcher.output(spec)
	if err != nil {
		return nil, err
	}
	ours, given, err := newLink()
	if err != nil {
		return nil, errors.Join(err, output.Close())
	}
	defer given.Close()
	c, theirs, err := f.launcher.newChild(spec, ReadyWhen{}, output)
	if err != nil {
		return nil, errors.Join(err, ours.close(), output.Close())
	}
	defer theirs.close()
	command := f.command
	command.Args, command.Env = command.Fork.Args, command.Fork.Env
	if err := f.launcher.spawn(c, theirs, command, []gift{{forkVariable, given}}); err != nil {
		return nil, errors.Join(err, ours.close(), c.discard())
	}
	_ = c.ready.Close() // it has the link in its place
	f.add(c)
	c.run()
	return &forkserver{child: c, link: ours}, nil
}

// follow waits for the end of a forkserver, and starts another if nobody wanted it.
// Who started one that never served knows already.
func (f *forker) follow(server *forkserver) {
	<-server.child.done
	_ = server.link.close()
	f.remove(server.child)
	f.mu.Lock()
	unasked := f.server == server && server.served
	if unasked {
		f.server = nil
	}
	pause := f.pause.NextBackOff()
	f.mu.Unlock()
	if !unasked || f.retired.Err() != nil {
		return
	}
	f.launcher.notice(Notice{
		Pool: f.pool, Kind: ForkserverDied, Worker: ForkserverID(f.pool), PID: server.child.id.PID, Reason: server.child.exit.String(),
	})
	_, _ = server.child.EndGroup(f.retired, 0) // what it could not end is found by its marker
	select {
	case <-time.After(pause):
	case <-f.retired.Done():
		return
	}
	if take(f.retired, f.turn) {
		_, _ = f.serving(forkPatience) // who needs it hears of the error
		<-f.turn
	}
}

func (s *forkserver) lives() bool {
	select {
	case <-s.child.done:
		return false
	default:
		return true
	}
}

// hurry has whoever waits for an answer wait no longer than a second.
func (s *forkserver) hurry() { s.link.hurry(time.Second) }

// fork has a worker forked, and makes it a child of this process. It is known
// before it could be taken for a stranger: until we say so, the process between it
// and the forkserver lives.
func (s *forkserver) fork(c *child, theirs ends, seat *seat) error {
	l := c.launcher
	request := forkRequest{Worker: c.spec.Worker, Port: c.spec.Port, ParentDeath: !slices.Contains(l.without, ParentDeathSignal)}
	var files []*os.File
	for _, each := range []struct {
		name string
		file *os.File
		give bool
	}{
		{"output", theirs.output, true},
		{"ready", theirs.ready, true},
		{"lifeline", l.lifeline, !slices.Contains(l.without, Lifeline)},
		{"seat", seat.theirEnd(), seat != nil},
	} {
		if each.give {
			request.Descriptors = append(request.Descriptors, each.name)
			files = append(files, each.file)
		}
	}
	if err := s.link.send(request, files...); err != nil {
		return fmt.Errorf("cannot ask the forkserver: %w", err)
	}
	told, err := s.answer()
	if err != nil {
		return err
	}
	if told.PID < 2 {
		return fmt.Errorf("the forkserver names PID %d", told.PID)
	}
	process, err := l.keepFork(told.PID)
	if err != nil {
		return err
	}
	c.identify(process)
	if err = s.link.send(map[string]int{"adopt": told.PID}); err == nil {
		_, err = s.answer()
	}
	return l.awaitAdoption(c, err)
}

// answer is the next word; a refusal is an error.
func (s *forkserver) answer() (forkAnswer, error) {
	var said forkAnswer
	if err := s.link.receive(context.Background(), forkPatience, &said); err != nil {
		return said, fmt.Errorf("no answer of the forkserver, PID %d: %w", s.child.id.PID, err)
	}
	if said.Refused != "" {
		return said, &refusal{said.Refused, said.Message}
	}
	return said, nil
}

// keepFork keeps ReapStrangers from reaping a fork.
func (l *ExecLauncher) keepFork(pid int) (*os.Process, error) {
	process, err := os.FindProcess(pid) // a handle, on Linux
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.children[pid]; known {
		return nil, fmt.Errorf("the forkserver names PID %d, which is there already", pid)
	}
	l.children[pid] = struct{}{}
	return process, nil
}

// awaitAdoption returns when the fork is our child. If the forkserver has died over
// it, the kernel makes it one as soon as the process between them has noticed; no
// event tells when, so it is polled. Then it is ended.
func (l *ExecLauncher) awaitAdoption(c *child, failed error) error {
	limit := time.Now().Add(killWait)
	for !isChild(c.id.PID) && time.Now().Before(limit) {
		time.Sleep(time.Millisecond)
	}
	switch {
	case !isChild(c.id.PID):
		l.Forget(c.id.PID) // it never went on: it ends by itself
		return errors.Join(failed, fmt.Errorf("PID %d, a fork, did not become our child", c.id.PID))
	case failed == nil:
		return nil
	}
	_ = c.process.Kill() // our child, not waited for: it is this one
	_, _ = c.process.Wait()
	l.Forget(c.id.PID)
	return failed
}

// ForkserverError is a forkserver that did not come to serve.
type ForkserverError struct {
	Err    error
	Output []string // the last lines that it printed
}

func (e *ForkserverError) Error() string { return "the forkserver: " + e.Err.Error() }
func (e *ForkserverError) Unwrap() error { return e.Err }
