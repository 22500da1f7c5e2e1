package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A port that is not there when a worker is to come back on it.

// aim makes a worker the one that the fault is for.
func (s *stage) aim(target worker) {
	r := s.first()
	s.target, s.before = target, []process{r.supervisor}
	if r.guard.pid != 0 {
		s.before = append(s.before, r.guard)
	}
	for _, w := range r.workers {
		if w.slot != target.slot {
			s.before = append(s.before, w.process)
		}
	}
}

// stopOne stops a worker at random; the run goes on without it.
func stopOne(ctx context.Context, s *stage) error {
	r := s.first()
	w := r.anyWorker()
	s.aim(w)
	if _, err := r.expect(ctx, 0, "stop", w.slot); err != nil {
		return err
	}
	if alive(w.ident) {
		return fmt.Errorf("%s was stopped, but PID %d lives", w.slot, w.pid)
	}
	return nil
}

// squat takes the port of the worker that was stopped.
func squat(_ context.Context, s *stage) error {
	listener, err := bind(s.first().host(), s.target.port)
	if err != nil {
		s.check(Check{Name: "port released", Detail: fmt.Sprintf("%s was stopped: %v", s.target.slot, err)})
		return err
	}
	s.fault("port %d of %s is taken by PID %d", s.target.port, s.target.slot, s.self())
	s.first().hold(func() { _ = listener.Close() }) // nobody reads from it
	return nil
}

// restartMeetsSquatter restarts the worker, which has to fail and to say by whose
// fault.
func restartMeetsSquatter(ctx context.Context, s *stage) error {
	wait := s.between(200*time.Millisecond, 800*time.Millisecond).Round(time.Millisecond)
	p, err := s.first().snakepit(ctx, "restart", s.target.slot, "--release-timeout", wait.String())
	if err != nil {
		return err
	}
	limit := wait + noticeLimit
	s.check(Check{
		Name: "exit code of restart", Passed: p.code == 5 && p.took < limit, Took: p.took, Limit: limit,
		Detail: fmt.Sprintf("%d, wanted 5 (timeout), after %v, limit %v%s", p.code, round(p.took), limit, unless(p.code == 5, p)),
	})
	var missing []string
	for _, word := range []string{"cleanup_timeout", fmt.Sprintf("port %d", s.target.port), fmt.Sprintf("PID %d", s.self())} {
		if !strings.Contains(p.err, word) {
			missing = append(missing, word)
		}
	}
	c := Check{Name: "the holder", Passed: len(missing) == 0, Detail: fmt.Sprintf("it names port %d and PID %d", s.target.port, s.self())}
	if !c.Passed {
		c.Detail = fmt.Sprintf("it does not say %q%s", missing, unless(false, p))
	}
	s.check(c)
	return nil
}

// squatterStays looks whether anybody runs in the slot whose port is held.
func squatterStays(_ context.Context, s *stage) error {
	r := s.first()
	all, err := r.inSlots()
	if err != nil {
		return err
	}
	var there []process
	for _, w := range all {
		if w.slot == s.target.slot {
			there = append(there, w.process)
		}
	}
	s.check(Check{Name: "nobody on a held port", Passed: len(there) == 0, Detail: fmt.Sprintf("in the slot of %s, own scan: %s", s.target.slot, found(there))})
	return nil
}

// leavePort lets the port go. The worker has to come back on it by itself.
func leavePort(ctx context.Context, s *stage) error {
	r := s.first()
	r.release()
	s.fault("port %d is let go", s.target.port)
	return s.awaitBack(ctx, r, s.target)
}

// awaitBack waits until another process serves in a worker's slot, on the same port.
func (s *stage) awaitBack(ctx context.Context, r *run, before worker) error {
	s.doing("waiting for %s", before.slot)
	var why error
	back := await(ctx, readyLimit, func() bool {
		if why = r.look(); why == nil && r.slot(before.slot).ident == before.ident {
			why = fmt.Errorf("it is still PID %d", before.pid)
		}
		return why == nil
	})
	if ctx.Err() != nil {
		return nil
	}
	now, took := r.slot(before.slot), time.Since(s.faultAt)
	c := Check{
		Name: "back on its port", Passed: back && now.port == before.port, Took: took, Limit: readyLimit,
		Detail: fmt.Sprintf("%s serves on port %d, had %d, PID %d → %d, after %v, limit %v", before.slot, now.port, before.port, before.pid, now.pid, round(took), readyLimit),
	}
	if !back {
		c.Detail = fmt.Sprintf("%s does not serve after %v: %v", before.slot, readyLimit, why)
	}
	s.check(c)
	if !back {
		return fmt.Errorf("%s is not back", before.slot)
	}
	return nil
}

// othersUntouched looks whether everybody but the worker that the fault was for is as
// before.
func othersUntouched(_ context.Context, s *stage) error {
	s.checkUntouched("the others", s.before)
	return nil
}

func (s *stage) checkUntouched(name string, before []process) {
	c := Check{Name: name, Passed: true, Detail: count(len(before), "process is", "processes are") + " the same as before"}
	for _, p := range before {
		if now, err := lookup(p.pid); err != nil || now.ident != p.ident || now.dead() || now.halted() {
			c.Passed, c.Detail = false, fmt.Sprintf("PID %d is not as it was: %s", p.pid, p)
		}
	}
	s.check(c)
}
