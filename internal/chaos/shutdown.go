package chaos

import (
	"context"
	"fmt"
	"time"
)

// The suite about the end of a run.
func shutdownSuite() []Scenario {
	died := ending{how: "supervisor_died"}
	return []Scenario{
		{
			Name: "normal_shutdown", Suite: SuiteShutdown,
			Assumes: "a supervisor, a guard, and every worker takes connections",
			Fault:   "none: the run is stopped, up to 0.5 s after it was ready",
			steps: []step{
				start, pause(500 * time.Millisecond), stop, allGone(afterStop), allOver(afterStop),
				ending{how: "stopped", nobody: true}.told, nothingOnDisk,
			},
		},
		{
			Name: "kill_during_shutdown", Suite: SuiteShutdown,
			Assumes: "every worker takes connections; then one is frozen, and the run is stopped, with a grace time of 5 s",
			Fault:   "the supervisor gets SIGKILL, up to 0.3 s after it has begun to stop",
			needs:   needsGuard,
			steps: []step{
				withFlags("--grace", "5s"), start, freezeOne, killWhileStopping, allGone(afterSweep), allOver(afterSweep), died.told, nothingOnDisk, idFreeAgain,
			},
		},
		{
			Name: "port_not_releasing", Suite: SuiteShutdown,
			Assumes: "every worker takes connections; then one is stopped",
			Fault:   "somebody else takes its port, and keeps it up to 1 s longer than a restart waits",
			needs:   needsWait,
			steps: []step{
				start, stopOne, squat, restartMeetsSquatter, pause(time.Second), squatterStays, leavePort,
				othersUntouched, stop, allGone(afterStop), allOver(afterStop), ending{how: "stopped", nobody: true}.told, nothingOnDisk,
			},
		},
		{
			Name: "supervisor_crash", Suite: SuiteShutdown,
			Assumes: "a supervisor, a guard, and every worker takes connections",
			Fault:   "the supervisor gets SIGKILL, up to 1 s after that",
			needs:   needsGuard,
			steps: []step{
				start, pause(time.Second), killSupervisor, allGone(afterDeath), allOver(afterSweep), died.told, nothingOnDisk, idFreeAgain,
			},
		},
	}
}

// killWhileStopping kills the supervisor in the middle of a stop. A worker that was
// frozen before keeps it there for the grace time.
func killWhileStopping(ctx context.Context, s *stage) error {
	r := s.first()
	began := time.Now()
	wait := r.begin(ctx, "stop")
	s.doing("stopping")
	_, missed := r.awaitEvent(ctx, began, noticeLimit, func(e eventLine) bool { return e.Event == "run_stopping" })
	if missed == nil {
		sleep(ctx, s.between(0, 300*time.Millisecond))
		missed = killSupervisor(ctx, s)
	}
	p, err := wait()
	if err != nil {
		return err
	}
	if missed != nil {
		return fmt.Errorf("the stop could not be met in the middle: %w\n%s", missed, p)
	}
	s.check(Check{Name: "exit code of stop", Passed: p.code == 1, Detail: fmt.Sprintf("%d, wanted 1%s", p.code, unless(p.code == 1, p))})
	s.check(Check{Name: "its word", Passed: !p.claimsClean(), Detail: "it says that nothing is left: " + yesNo(p.claimsClean()) + "; it cannot know" + unless(!p.claimsClean(), p)})
	return nil
}
