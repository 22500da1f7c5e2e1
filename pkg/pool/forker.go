package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Fork says how the workers of a pool are forked.
type Fork struct {
	// Args and Env start the forkserver, with the program and the directory of the
	// Command. Args hold "--worker-id ID" and "--port N", and the environment
	// SNAKEPIT_WORKER_ID, each with room for what a worker has there.
	Args, Env []string
	// Standby is how many workers are to stand by.
	Standby int
}

// ForkserverID is the worker id that the forkserver of a pool carries. It is as
// long as that of any worker, whose id is written over it.
func ForkserverID(pool string) string { return pool + forkserverSuffix }

const forkserverSuffix = "-fork"

// IsForkserverID says whether it is the id of a forkserver.
func IsForkserverID(id string) bool { return strings.HasSuffix(id, forkserverSuffix) }

// StandbyID is the id of workers of the pool that have no place yet.
func StandbyID(pool string) string { return pool + "-next" }

// errSpawn means that the pool's workers cannot be forked, and are to be spawned.
var errSpawn = errors.New("cannot fork workers")

// forker has the workers of one pool forked: it keeps the forkserver alive, and
// workers that stand by.
type forker struct {
	launcher *ExecLauncher
	runID    string
	pool     string
	command  Command
	turn     chan struct{} // one value: who holds it speaks to the forkserver, or starts one
	retired  context.Context
	close    context.CancelFunc
	begun    error // of Begin, for the next launch; who has the turn reads it
	spawned  int   // workers in a row that two forkservers could not fork; likewise

	mu       sync.Mutex // guards what follows; nothing waits under it
	spawns   bool       // for good
	server   *forkserver
	unready  int  // forkservers in a row that never took a request
	served   bool // one did
	standbys []*standby
	making   chan struct{} // closed when the worker that is being made to stand by is there; nil: there is none
	awaited  bool          // a launch waits for that one
	failures int           // workers in a row that ended before they stood by
	pause    *backoff.ExponentialBackOff
	helpers  map[*child]struct{} // all that live, to be ended
	hurried  chan struct{}       // closed: nobody is to wait for their end any more
	running  sync.WaitGroup
}

// forker is that of the pool, made at its first launch.
func (l *ExecLauncher) forker(spec Spec, command Command) *forker {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.forkers[spec.Pool]
	if f == nil {
		pause := backoff.NewExponentialBackOff()
		pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 30*time.Second
		f = &forker{
			launcher: l, runID: spec.RunID, pool: spec.Pool, command: command, turn: make(chan struct{}, 1), pause: pause,
			helpers: map[*child]struct{}{}, hurried: make(chan struct{}),
		}
		f.retired, f.close = context.WithCancel(context.Background())
		l.forkers[spec.Pool] = f
	}
	return f
}

func (l *ExecLauncher) allForkers() []*forker {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*forker
	for _, f := range l.forkers {
		all = append(all, f)
	}
	return all
}

// Prepare implements Preparer.
func (l *ExecLauncher) Prepare(spec Spec) {
	if f := l.known(spec.Pool); f != nil {
		f.mu.Lock()
		f.failures = 0
		f.mu.Unlock()
		f.prepare(spec)
	}
}

// Begin starts what the first launch of a pool needs before that comes, and returns at
// once; the launch waits for it, and hears of its error.
func (l *ExecLauncher) Begin(spec Spec) {
	command := l.command(spec)
	if command.Fork == nil {
		return
	}
	f := l.forker(spec, command)
	f.turn <- struct{}{} // nobody has it yet
	f.running.Go(func() {
		defer func() { <-f.turn }()
		_, f.begun = f.serving(spec.ReadyTimeout)
	})
}

// Retire implements Preparer.
func (l *ExecLauncher) Retire(pool string, grace time.Duration, force bool) {
	if f := l.known(pool); f != nil {
		f.retire(grace, force)
	}
}

func (l *ExecLauncher) known(pool string) *forker {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forkers[pool]
}

// launch gives the place to a worker that stands by, or has one forked for it.
func (f *forker) launch(spec Spec) (*child, error) {
	if c := f.seat(spec); c != nil {
		return c, nil
	}
	output, err := f.launcher.output(spec)
	if err != nil {
		return nil, err
	}
	c, err := f.fork(spec, output, nil)
	if err != nil {
		return nil, errors.Join(err, output.Close())
	}
	return c, nil
}

// fork has a process forked. With a seat it stands by.
func (f *forker) fork(spec Spec, output Output, seat *seat) (*child, error) {
	if !take(f.retired, f.turn) {
		return nil, ErrStopping
	}
	defer func() { <-f.turn }()
	if err := f.begun; err != nil && !errors.Is(err, errSpawn) {
		f.begun = nil
		return nil, err
	}
	for try := 0; ; try++ {
		server, err := f.serving(spec.ReadyTimeout)
		switch {
		case errors.Is(err, errSpawn), errors.Is(err, ErrStopping), errors.Is(err, ErrReadyTimeout):
			return nil, err
		case err != nil: // one has served before: they were killed, say
			return nil, f.spawnOne(err)
		}
		c, err := f.request(server, spec, output, seat)
		var refused *refusal
		switch {
		case err == nil && f.retired.Err() != nil:
			f.abandon(c)
			return nil, ErrStopping
		case err == nil:
			f.spawned = 0
			return c, nil
		case errors.As(err, &refused) && refused.forGood():
			return nil, f.giveUp(err)
		case errors.As(err, &refused) && !refused.byThisOne():
			return nil, err
		}
		f.replace(server, err)
		if try > 0 {
			return nil, f.spawnOne(err)
		}
	}
}

// maxSpawned is how many workers in a row may be spawned, because two forkservers could
// not fork them, until all are.
const maxSpawned = 3

// spawnOne has this worker be spawned: what made two forkservers useless, its code that is
// written to or what it does at a fork, does not hinder that. The caller has the turn.
func (f *forker) spawnOne(reason error) error {
	f.spawned++
	if f.spawned >= maxSpawned && f.retired.Err() == nil {
		return f.giveUp(reason)
	}
	return errSpawn
}

// request is one fork.
func (f *forker) request(server *forkserver, spec Spec, output Output, seat *seat) (*child, error) {
	c, theirs, err := f.launcher.newChild(spec, f.command.Ready, output)
	if err != nil {
		return nil, err
	}
	defer theirs.close()
	c.method = Forked
	if err := server.fork(c, theirs, seat); err != nil {
		_ = c.ready.Close()  // nobody has it
		_ = c.prints.Close() // the same; the output is the caller's
		return nil, err
	}
	c.run()
	return c, nil
}

// serving is a forkserver that takes requests; the caller has the turn.
func (f *forker) serving(patience time.Duration) (*forkserver, error) {
	f.mu.Lock()
	server, spawns := f.server, f.spawns
	f.mu.Unlock()
	switch {
	case spawns:
		return nil, errSpawn
	case server != nil && server.lives():
		return server, nil
	}
	server, err := f.startServer(patience)
	if f.retired.Err() != nil {
		return nil, errors.Join(ErrStopping, err)
	}
	if err == nil {
		f.launcher.notice(Notice{Pool: f.pool, Kind: ForkserverStarted, Worker: ForkserverID(f.pool), PID: server.child.id.PID})
		return server, nil
	}
	if errors.Is(err, ErrReadyTimeout) {
		return nil, err
	}
	f.mu.Lock()
	f.unready++
	once, hopeless := f.unready%2 == 1, !f.served
	f.mu.Unlock()
	var unfit *unfitError
	switch {
	case errors.As(err, &unfit):
		return nil, f.giveUp(err)
	case once:
		return f.serving(patience)
	case hopeless:
		return nil, f.giveUp(err)
	}
	return nil, err
}

// giveUp has workers be spawned from here on.
func (f *forker) giveUp(reason error) error {
	f.mu.Lock()
	first := !f.spawns
	f.spawns = true
	server := f.server
	f.server = nil
	idle := slices.Clone(f.standbys)
	f.mu.Unlock()
	if !first {
		return errSpawn
	}
	f.launcher.notice(Notice{Pool: f.pool, Kind: ForkFallback, Reason: reason.Error()})
	if server != nil {
		f.dismiss(server.child)
	}
	for _, s := range idle {
		if f.drop(s) {
			f.dismissStandby(s)
		}
	}
	return errSpawn
}

// replace ends a forkserver; the next request starts another.
func (f *forker) replace(server *forkserver, reason error) {
	f.mu.Lock()
	if f.server == server {
		f.server = nil
	}
	f.mu.Unlock()
	var refused *refusal
	if errors.As(reason, &refused) && refused.stale() {
		f.launcher.notice(Notice{
			Pool: f.pool, Kind: ForkserverStale, Worker: ForkserverID(f.pool), PID: server.child.id.PID, Reason: refused.Message,
		})
	}
	f.dismiss(server.child)
}

// add keeps a helper until it has ended.
func (f *forker) add(c *child) {
	f.mu.Lock()
	f.helpers[c] = struct{}{}
	f.mu.Unlock()
}

// remove says whether it was a helper still.
func (f *forker) remove(c *child) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, was := f.helpers[c]
	delete(f.helpers, c)
	return was
}

// dismiss ends a helper in the background.
func (f *forker) dismiss(c *child) {
	f.running.Go(func() { f.endHelper(c, c.spec.Grace, false) })
}

// abandon ends a fork at once that nobody needs any more.
func (f *forker) abandon(c *child) {
	f.add(c)
	f.endHelper(c, 0, true)
}

// retire ends everything that the forker keeps, and returns when it has ended. Any
// call with force has all of them wait no longer.
func (f *forker) retire(grace time.Duration, force bool) {
	f.close()
	f.mu.Lock()
	if force {
		select {
		case <-f.hurried:
		default:
			close(f.hurried)
		}
	}
	server := f.server
	f.mu.Unlock()
	if server != nil {
		server.hurry()
	}
	f.turn <- struct{}{} // whoever forks has done so
	defer func() { <-f.turn }()
	f.mu.Lock()
	var all []*child
	for c := range f.helpers {
		all = append(all, c)
	}
	f.mu.Unlock()
	var ended sync.WaitGroup
	for _, c := range all {
		ended.Go(func() { f.endHelper(c, grace, force) })
	}
	ended.Wait()
	f.mu.Lock()
	left := len(f.helpers)
	f.mu.Unlock()
	if left == 0 { // otherwise there is somebody to wait for without end
		f.running.Wait()
	}
}

// endHelper ends a process and its group: TERM, up to grace, KILL. One that KILL
// does not end is left to whoever looks for survivors.
func (f *forker) endHelper(c *child, grace time.Duration, force bool) {
	if !force && grace > 0 {
		_ = c.SignalGroup(syscall.SIGTERM) // its only error is that it has gone
		select {
		case <-c.done:
		case <-f.hurried:
		case <-time.After(grace):
		}
	}
	_ = c.SignalGroup(syscall.SIGKILL)
	select {
	case <-c.done:
		f.remove(c)
	case <-time.After(killWait):
		return
	}
	// What it could not end is found by its marker.
	_, _ = c.EndGroup(context.WithoutCancel(f.retired), 0)
}

// drop says whether it stood by until now.
func (f *forker) drop(s *standby) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := slices.Index(f.standbys, s)
	if at < 0 {
		return false
	}
	f.standbys = slices.Delete(f.standbys, at, at+1)
	close(s.left)
	return true
}

// refusal is a forkserver that does not fork.
type refusal struct{ Kind, Message string }

func (r *refusal) Error() string { return "the forkserver does not fork: " + r.Message }

func (r *refusal) stale() bool { return r.Kind == "stale" }

// byThisOne says that another forkserver may fork: this one has old code, or its forks end.
func (r *refusal) byThisOne() bool { return r.stale() || r.Kind == "died" }

// forGood says that it never will; otherwise it may, the next time.
func (r *refusal) forGood() bool {
	return slices.Contains([]string{"threads", "subreaper", "fork_marker"}, r.Kind)
}

// unfitError is a forkserver, or a system, that can never fork a worker.
type unfitError struct{ reason string }

func (e *unfitError) Error() string { return fmt.Sprintf("cannot use a forkserver: %s", e.reason) }
