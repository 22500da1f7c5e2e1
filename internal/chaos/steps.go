package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// The steps that scenarios are made of. What is about one run is about the first.

// Limits are for a loaded machine with two cores. They are there to tell what never
// ends from what is slow; how fast it is on a quiet one, benchmarks tell.
const (
	readyLimit   = 60 * time.Second // until a process that was replaced serves
	diedLimit    = 5 * time.Second  // from the supervisor's death to the end of workers that can end by themselves
	sweptLimit   = 15 * time.Second // from the supervisor's death to the end of the guard's work: TERM, 2 s, KILL
	stopMargin   = 15 * time.Second // of a stop, beside the grace time
	releaseLimit = 5 * time.Second  // until a port can be bound after its process has gone
	noticeLimit  = 10 * time.Second // until the supervisor has noticed something, and written it down
)

// limit is one that may depend on the settings of the run.
type limit func(*run) time.Duration

// afterStop is for the end of a run that was asked to end.
func afterStop(r *run) time.Duration { return r.grace() + stopMargin }

// afterDeath is for the end of workers that have nobody left but themselves. A
// foreign program is told by TERM, and may take its grace time.
func afterDeath(r *run) time.Duration {
	if r.stage.opts.Pool.Foreign && !r.brought {
		return r.grace() + diedLimit
	}
	return diedLimit
}

// afterSweep is for the end of those whom the guard has to end.
func afterSweep(*run) time.Duration { return sweptLimit }

// afterKill is for the end of those who are left until somebody looks for them.
func afterKill(*run) time.Duration { return sweptLimit + time.Minute }

// start starts the first run.
func start(ctx context.Context, s *stage) error { return s.startRun(ctx, s.first()) }

// startRun starts a run and waits for its steady state.
func (s *stage) startRun(ctx context.Context, r *run, flags ...string) error {
	s.started = true
	s.doing("starting %d workers", s.opts.Pool.Workers)
	p, err := r.expect(ctx, 0, slices.Concat([]string{"start", "-d"}, r.flags, flags)...)
	if p.code == exitUsage && !r.brought {
		return &UnusableError{p.why()}
	}
	if err != nil {
		return fmt.Errorf("steady state not reached: %w", err)
	}
	return r.awaitSteady(ctx, noticeLimit)
}

// awaitSteady waits until our own look finds the steady state.
func (r *run) awaitSteady(ctx context.Context, limit time.Duration) error {
	var why error
	if !await(ctx, limit, func() bool { why = r.look(); return why == nil }) {
		return fmt.Errorf("steady state not reached within %v: %w", limit, why)
	}
	r.stage.note("steady", "run %s: supervisor PID %d, guard PID %d, %d workers: PID %v", r.id, r.supervisor.pid, r.guard.pid, len(r.workers), pidsOf(r.workerProcesses()))
	return nil
}

// pause waits for a random time.
func pause(most time.Duration) step {
	return func(ctx context.Context, s *stage) error {
		sleep(ctx, s.between(0, most))
		return nil
	}
}

// freezeOne halts a worker at random. It can end neither by itself nor on TERM, so
// somebody has to end it, and is to say so.
func freezeOne(_ context.Context, s *stage) error {
	w := s.first().anyWorker()
	s.fault("%s, PID %d, gets SIGSTOP", w.slot, w.pid)
	s.hurt = append(s.hurt, w.process)
	return freeze(w.process)
}

// freeze returns once the process is halted.
func freeze(p process) error {
	if err := send(p.ident, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("cannot freeze %s: %w", p, err)
	}
	halted := await(context.Background(), noticeLimit, func() bool {
		now, err := lookup(p.pid)
		return err != nil || now.halted() || now.dead()
	})
	if !halted || !alive(p.ident) {
		return fmt.Errorf("cannot freeze %s: it is not halted", p)
	}
	return nil
}

// kill ends processes in the same instant: none of them sees another die.
func (s *stage) kill(what string, processes ...process) error {
	for _, r := range s.runs {
		if _, err := r.processes(); err != nil { // who is there now, to be known later
			return err
		}
	}
	if len(processes) > 1 {
		for _, p := range processes {
			if err := freeze(p); err != nil {
				return err
			}
		}
	}
	s.fault("SIGKILL for %s: PID %v", what, pidsOf(processes))
	for _, p := range processes {
		if err := send(p.ident, syscall.SIGKILL); err != nil {
			return fmt.Errorf("the fault could not be injected: %s: %w", p, err)
		}
	}
	return nil
}

func killSupervisor(_ context.Context, s *stage) error {
	return s.kill("the supervisor", s.first().supervisor)
}

// stop stops the first run, and holds what it prints against our own look.
func stop(ctx context.Context, s *stage) error { return s.stopRun(ctx, s.first()) }

func (s *stage) stopRun(ctx context.Context, r *run, flags ...string) error {
	if _, err := r.processes(); err != nil {
		return err
	}
	s.fault("run %s is stopped", r.id)
	p, err := r.snakepit(ctx, slices.Concat([]string{"stop"}, flags)...)
	if err != nil {
		return err
	}
	left, err := r.processes()
	if err != nil {
		return err
	}
	workers := slices.DeleteFunc(left, func(p process) bool { return p.role() != "" }) // those end last
	limit := afterStop(r)
	s.check(Check{
		Name: "stop", Passed: p.code == 0 && p.took < limit, Took: p.took, Limit: limit,
		Detail: fmt.Sprintf("exit code %d, wanted 0, after %v, limit %v%s", p.code, round(p.took), limit, unless(p.code == 0, p)),
	})
	s.check(Check{
		Name: "its word", Passed: p.claimsClean() && len(workers) == 0,
		Detail: fmt.Sprintf("it says that nothing is left: %s; own scan: %s", yesNo(p.claimsClean()), found(workers)),
	})
	return nil
}

// grace is the time that the settings give a worker after TERM.
func (r *run) grace() time.Duration {
	d, err := time.ParseDuration(r.record.Config.Grace)
	if err != nil {
		return 5 * time.Second // the default
	}
	return d
}

// awaitEvent waits for an event of the run that was not there before the time.
func (r *run) awaitEvent(ctx context.Context, since time.Time, limit time.Duration, is func(eventLine) bool) (eventLine, error) {
	var event eventLine
	seen := await(ctx, limit, func() bool {
		for _, e := range r.readEvents() {
			if !e.Time.Before(since) && is(e) {
				event = e
				return true
			}
		}
		return false
	})
	if !seen {
		return event, errors.New("the event did not come")
	}
	return event, nil
}

func round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func found(processes []process) string {
	if len(processes) == 0 {
		return "nothing"
	}
	return describe(processes)
}

// unless is what somebody printed, where it was not as it should be.
func unless(fine bool, p printed) string {
	if fine {
		return ""
	}
	return ":\n" + p.String()
}
