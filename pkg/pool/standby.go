package pool

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"
)

// Workers that stand by: forked, with the adapter made, without an id and a port.

// standby is one of them.
type standby struct {
	child *child
	late  *lateOutput
	link  link
	warm  chan struct{} // closed when it waits for its place
	left  chan struct{} // closed when it does not stand by any more

	claimed bool // a launch waits for it; guarded by the forker's mutex
}

// seat is the socket over which a worker that stands by gets its place.
type seat struct {
	ours  link
	given *os.File
}

func (s *seat) theirEnd() *os.File {
	if s == nil {
		return nil
	}
	return s.given
}

// maxFailures is how many workers in a row may end before they stand by until no
// more are tried: the next worker that becomes ready is the sign for another try.
const maxFailures = 3

// prepare has workers be forked until enough stand by.
func (f *forker) prepare(spec Spec) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.making != nil || f.spawns || f.retired.Err() != nil || f.failures >= maxFailures || len(f.standbys) >= f.command.Fork.Standby {
		return
	}
	made := make(chan struct{})
	f.making = made
	spec.Worker, spec.Port, spec.Incarnation = StandbyID(f.pool), 0, 0
	f.running.Go(func() {
		s, err := f.makeStandby(spec)
		f.mu.Lock()
		f.making, f.awaited = nil, false
		close(made)
		if s != nil {
			f.standbys = append(f.standbys, s)
		}
		f.mu.Unlock()
		if s != nil {
			f.running.Go(func() { f.attend(s, spec) })
		} else if f.retired.Err() == nil && !errors.Is(err, errSpawn) {
			f.failed(0, err.Error(), spec)
		}
	})
}

func (f *forker) makeStandby(spec Spec) (*standby, error) {
	ours, given, err := newLink()
	if err != nil {
		return nil, err
	}
	defer given.Close()
	late := &lateOutput{}
	c, err := f.fork(spec, late, &seat{ours, given})
	if err != nil {
		return nil, errors.Join(err, ours.close())
	}
	f.add(c)
	return &standby{child: c, late: late, link: ours, warm: make(chan struct{}), left: make(chan struct{})}, nil
}

// attend waits until it is warm, and for its end as long as it has no place.
func (f *forker) attend(s *standby, spec Spec) {
	var said struct {
		Warm bool `json:"warm"`
	}
	if s.link.receive(f.retired, 0, &said) == nil && said.Warm {
		close(s.warm)
		f.mu.Lock()
		f.failures = 0
		f.pause.Reset()
		f.mu.Unlock()
		f.launcher.notice(Notice{Pool: f.pool, Kind: StandbyReady, Worker: spec.Worker, PID: s.child.id.PID})
		f.prepare(spec) // another, if several are to stand by
	}
	select {
	case <-s.child.done:
	case <-s.left:
	}
	if !f.drop(s) {
		return // it has a place, or was dismissed
	}
	f.remove(s.child)
	f.leaveOutput(s)
	_, _ = s.child.EndGroup(f.retired, 0) // what it could not end is found by its marker
	defer s.child.ready.Close()
	_ = s.link.close()
	if f.retired.Err() == nil {
		f.failed(s.child.id.PID, f.whyEnded(s.child), spec)
	}
}

// whyEnded is what the process has said of it, or how it ended.
func (f *forker) whyEnded(c *child) string {
	said, err := c.Readiness(f.retired)
	if err == nil && said.Message != "" {
		return said.Message
	}
	return c.exit.String()
}

// failed tells of a worker that does not stand by any more, and tries another after
// a pause.
func (f *forker) failed(pid int, reason string, spec Spec) {
	f.launcher.notice(Notice{Pool: f.pool, Kind: StandbyDied, Worker: spec.Worker, PID: pid, Reason: reason})
	f.mu.Lock()
	f.failures++
	pause := f.pause.NextBackOff()
	f.mu.Unlock()
	select {
	case <-time.After(pause):
		f.prepare(spec)
	case <-f.retired.Done():
	}
}

// warmPatience is how long a launch waits for a worker that does not stand by yet,
// but was forked before: it is there sooner than one that is forked now, beside it.
const warmPatience = 250 * time.Millisecond

// seat gives the place to a worker that stands by; nil when none can take it.
func (f *forker) seat(spec Spec) *child {
	patience := time.After(warmPatience)
	for {
		s := f.await(patience)
		if s == nil {
			return nil
		}
		output, err := f.launcher.output(spec)
		if err != nil {
			f.dismissStandby(s)
			return nil // the fork that comes next meets the error again
		}
		reason, silent := s.assign(spec)
		if reason == "" {
			s.child.spec, s.child.method = spec, StoodBy
			s.late.become(output)
			f.remove(s.child)
			_ = s.link.close()
			return s.child
		}
		_ = output.Close() // nothing was written
		f.launcher.notice(Notice{Pool: f.pool, Kind: StandbyStale, Worker: StandbyID(f.pool), PID: s.child.id.PID, Reason: reason})
		if silent { // or it would take the place, and the port, beside the one that comes now
			f.endHelper(s.child, 0, true)
		}
		f.dismissStandby(s)
	}
}

// await takes one out of those who stand by, once it is warm; nil when there is none
// in time.
func (f *forker) await(patience <-chan time.Time) *standby {
	for f.retired.Err() == nil {
		s, coming := f.claim()
		switch {
		case s == nil && coming == nil:
			return nil
		case s == nil:
			select {
			case <-coming:
			case <-patience:
				return nil
			}
			continue
		}
		select {
		case <-s.warm:
			if f.drop(s) {
				return s
			}
		case <-s.child.done: // who attends to it tells why
		case <-patience:
			f.mu.Lock()
			s.claimed = false
			f.mu.Unlock()
			return nil
		}
	}
	return nil
}

// claim is the oldest that nobody waits for. When there is none yet, coming is closed
// when there is; but one waits for it, and no more.
func (f *forker) claim() (s *standby, coming <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.standbys {
		if !s.claimed {
			s.claimed = true
			return s, nil
		}
	}
	if f.making == nil || f.awaited {
		return nil, nil
	}
	f.awaited = true
	return nil, f.making
}

func (f *forker) dismissStandby(s *standby) {
	f.running.Go(func() {
		f.endHelper(s.child, s.child.spec.Grace, false)
		f.leaveOutput(s)
		_ = s.child.ready.Close()
		_ = s.link.close()
	})
}

// seatPatience is how long a worker that stands by may take to answer.
const seatPatience = time.Second

// assign says to the worker who it is. It returns why that one cannot be it, or "";
// silent: it may have heard it, and not have answered yet.
func (s *standby) assign(spec Spec) (reason string, silent bool) {
	var said struct {
		Taken bool   `json:"taken"`
		Stale string `json:"stale"`
	}
	err := s.link.send(map[string]any{"worker": spec.Worker, "port": spec.Port})
	if err == nil {
		err = s.link.receive(context.Background(), seatPatience, &said)
	}
	switch {
	case err != nil:
		return err.Error(), true
	case said.Taken:
		return "", false
	case said.Stale != "":
		return said.Stale + " has changed since it was imported", false
	}
	return "it does not take its place", false
}

// leaveOutput writes what was printed by a process that never had a place where its
// forkserver prints.
func (f *forker) leaveOutput(s *standby) {
	select {
	case <-s.child.printed:
	case <-time.After(lastWord):
	}
	if s.late.empty() {
		return
	}
	if output, err := f.launcher.output(Spec{Pool: f.pool, Worker: ForkserverID(f.pool)}); err == nil {
		s.late.become(output)
	}
}

// maxLate is how much is kept of what a process prints that has no place yet, in
// bytes; the oldest goes first.
const maxLate = 64 << 10

// lateOutput is the Output of a process whose log is not known yet.
type lateOutput struct {
	mu     sync.Mutex // guards the rest, and keeps the order of what is written
	to     Output
	kept   []byte
	closed bool
}

func (o *lateOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.to != nil {
		return o.to.Write(p)
	}
	o.kept = append(o.kept, p...)
	if over := len(o.kept) - maxLate; over > 0 {
		o.kept = append(o.kept[:0], o.kept[over:]...)
	}
	return len(p), nil
}

// become has everything go there, what was kept first.
func (o *lateOutput) become(to Output) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = to.Write(o.kept) // as the output of any worker, it may be lost
	o.to, o.kept = to, nil
	if o.closed {
		_ = to.Close()
	}
}

func (o *lateOutput) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.kept) == 0
}

func (o *lateOutput) Tail() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.to != nil {
		return o.to.Tail()
	}
	return strings.Split(strings.TrimSuffix(string(o.kept), "\n"), "\n")
}

func (o *lateOutput) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.to != nil {
		return o.to.Close()
	}
	return nil
}
