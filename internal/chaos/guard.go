package chaos

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// The suite about the end of the supervisor, and of the one that looks after it.
func guardSuite() []Scenario {
	died := ending{how: "supervisor_died"}
	return []Scenario{
		{
			Name: "guard_killed", Suite: SuiteGuard,
			Assumes: "a supervisor, a guard, and every worker takes connections",
			Fault:   "the guard gets SIGKILL, up to 0.5 s after that; then a worker is frozen, and the supervisor gets SIGKILL too",
			needs:   needsGuard,
			steps: []step{
				start, pause(500 * time.Millisecond), killGuard, anotherGuard, everybodyUntouched,
				freezeOne, killSupervisor, allGone(afterSweep), allOver(afterSweep), died.told, nothingOnDisk,
			},
		},
		{
			Name: "guard_and_supervisor_killed", Suite: SuiteGuard,
			Assumes: "a supervisor, a guard, and every worker takes connections",
			Fault:   "supervisor and guard get SIGKILL in the same instant, up to 1 s after that",
			needs:   needsGuard,
			steps: []step{
				start, pause(time.Second), killBoth, allGone(afterDeath), allOver(afterDeath), nothingClaimed, idFreeAgain,
			},
		},
		{
			Name: "supervisor_frozen_then_killed", Suite: SuiteGuard,
			Assumes: "every worker takes connections; then a worker and the supervisor are frozen, up to 1 s",
			Fault:   "the supervisor gets SIGKILL",
			needs:   needsGuard,
			steps: []step{
				start, freezeOne, freezeSupervisor, pause(time.Second), everybodyUntouchedWhileFrozen,
				killSupervisor, allGone(afterSweep), allOver(afterSweep), died.told, nothingOnDisk,
			},
		},
		{
			Name: "supervisor_killed_during_start", Suite: SuiteGuard,
			Assumes: "a run was started and stopped, to learn how long that takes here",
			Fault:   "the supervisor gets SIGKILL at a random moment between its own start and the last worker's readiness",
			steps: []step{
				start, stopToStartAgain, killWhileStarting, allGone(afterSweep), allOver(afterSweep), endOfStart, idFreeAgain,
			},
		},
		diskFull(),
		readOnlyState(),
	}
}

func killGuard(_ context.Context, s *stage) error {
	r := s.first()
	s.before = append(r.workerProcesses(), r.supervisor)
	return s.kill("the guard", r.guard)
}

// anotherGuard waits for the next guard, in the process table and in the record.
func anotherGuard(ctx context.Context, s *stage) error {
	r, old := s.first(), s.first().guard
	var why error
	there := await(ctx, noticeLimit, func() bool {
		if why = r.look(); why == nil && r.guard.ident == old.ident { // one that was killed is seen for an instant more
			why = fmt.Errorf("it is there")
		}
		return why == nil
	})
	if ctx.Err() != nil {
		return nil
	}
	if !there {
		s.check(Check{Name: "another guard", Detail: fmt.Sprintf("PID %d had no successor within %v: %v", old.pid, noticeLimit, why)})
		return errEnough
	}
	took := time.Since(s.faultAt)
	s.check(Check{
		Name: "another guard", Passed: true, Took: took, Limit: noticeLimit,
		Detail: fmt.Sprintf("PID %d → %d, in process table and record after %v, limit %v", old.pid, r.guard.pid, round(took), noticeLimit),
	})
	var told []string
	for _, e := range r.readEvents() {
		if e.Event == "guard_died" && e.PID == old.pid || e.Event == "guard_started" && e.PID == r.guard.pid {
			told = append(told, e.Event)
		}
	}
	s.check(Check{Name: "events of the guard", Passed: strings.Join(told, " ") == "guard_died guard_started", Detail: fmt.Sprintf("about these two: %v", told)})
	return nil
}

// everybodyUntouched looks whether those that were there before are.
func everybodyUntouched(_ context.Context, s *stage) error {
	s.checkUntouched("supervisor and workers", s.before)
	return nil
}

func killBoth(_ context.Context, s *stage) error {
	r := s.first()
	return s.kill("supervisor and guard", r.supervisor, r.guard)
}

// freezeSupervisor halts it. Its guard must not take it for dead.
func freezeSupervisor(_ context.Context, s *stage) error {
	r := s.first()
	s.fault("the supervisor, PID %d, gets SIGSTOP", r.supervisor.pid)
	return freeze(r.supervisor)
}

// everybodyUntouchedWhileFrozen looks whether somebody ended what is alive.
func everybodyUntouchedWhileFrozen(_ context.Context, s *stage) error {
	r := s.first()
	c := Check{Name: "nothing ended too early", Passed: true}
	all := append(r.workerProcesses(), r.supervisor, r.guard)
	c.Detail = count(len(all), "process is", "processes are") + " alive while the supervisor is frozen"
	for _, p := range all {
		if !alive(p.ident) {
			c.Passed, c.Detail = false, fmt.Sprintf("%s has ended", p)
		}
	}
	s.check(c)
	return nil
}

// stopToStartAgain notes how long a start takes.
func stopToStartAgain(ctx context.Context, s *stage) error {
	r := s.first()
	if _, err := r.expect(ctx, 0, "stop"); err != nil {
		return err
	}
	var began, ready time.Time
	for _, e := range r.readEvents() {
		switch e.Event {
		case "run_starting":
			began = e.Time
		case "run_ready":
			ready = e.Time
		}
	}
	s.phase = ready.Sub(began)
	if began.IsZero() || s.phase <= 0 {
		return fmt.Errorf("the events do not say how long the start took")
	}
	return nil
}

// killWhileStarting kills the supervisor of a start. Where the start was quicker, it
// is tried again with a shorter wait.
func killWhileStarting(ctx context.Context, s *stage) error {
	r := s.first()
	for try := 1; ; try++ {
		after := s.between(0, s.phase+20*time.Millisecond) / time.Duration(try)
		wait := r.begin(ctx, append([]string{"start", "-d"}, r.flags...)...)
		s.doing("starting")
		seen := await(ctx, noticeLimit, func() bool {
			mine, err := r.processes()
			for _, p := range mine {
				if p.role() == "supervise" && alive(p.ident) {
					r.supervisor = p
					return true
				}
			}
			return err != nil
		})
		if seen {
			sleep(ctx, after)
			s.fault("the supervisor, PID %d, gets SIGKILL, %v after it was seen", r.supervisor.pid, round(after))
			if err := send(r.supervisor.ident, syscall.SIGKILL); err != nil { // without a look at the others, which would take its time
				return fmt.Errorf("the fault could not be injected: %w", err)
			}
		}
		p, err := wait()
		switch {
		case err != nil:
			return err
		case !seen:
			return fmt.Errorf("no supervisor was seen\n%s", p)
		case p.code == 0 && try < 4:
			if !await(ctx, sweptLimit, func() bool { mine, err := r.processes(); return len(mine) == 0 && err == nil }) {
				return fmt.Errorf("a run that was killed after its start is not over after %v", sweptLimit)
			}
			continue
		case p.code == 0:
			return fmt.Errorf("the start was quicker than the fault, %d times", try)
		}
		s.check(Check{Name: "exit code of start", Passed: p.code == 1, Detail: fmt.Sprintf("%d, wanted 1, killed %v after its supervisor was seen%s", p.code, round(after), unless(p.code == 1, p))})
		s.check(Check{Name: "its word", Passed: !strings.Contains(p.err, "running"), Detail: "it says that the run is up: " + yesNo(strings.Contains(p.err, "running"))})
		return nil
	}
}
