package chaos

import (
	"context"
	"slices"
	"time"
)

// The suite about workers that misbehave.
func workersSuite() []Scenario {
	clean := []step{stop, allGone(afterStop), allOver(afterStop), ending{how: "stopped", nobody: true}.told, nothingOnDisk}
	then := func(steps ...step) []step { return slices.Concat(steps, clean) }
	return []Scenario{
		{
			Name: "crash_storm", Suite: SuiteWorkers,
			Assumes: "every worker takes connections",
			Fault:   "SIGKILL for twice as many worker processes as there are workers, one after the other, whichever is there, up to 0.2 s apart",
			steps:   then(start, pause(500*time.Millisecond), storm, ownersUntouched, settled, restartFailed, oneEach),
		},
		{
			Name: "hung_worker", Suite: SuiteWorkers,
			Assumes: "every worker takes connections, and is asked for its health (--health-interval 200ms --health-timeout 1s --grace 1s)",
			Fault:   "a worker gets SIGSTOP, up to 0.5 s after that",
			needs:   needsAll(needsHealth, needsRestarts),
			steps: then(withFlags("--health-interval", "200ms", "--health-timeout", "1s", "--grace", "1s"),
				start, pause(500*time.Millisecond), hangOne, targetBack, targetGone, othersUntouched),
		},
		{
			Name: "ignores_term", Suite: SuiteWorkers,
			Assumes: "every worker takes connections",
			Fault:   "supervisor and guard get SIGKILL in the same instant; then another run is stopped, with a grace time of 1 s",
			Brings:  "an adapter that ignores SIGTERM", needs: needsPython,
			steps: then(bring("Deaf", "--grace", "1s"), start, pause(500*time.Millisecond), killBoth, allGone(afterDeath), allOver(afterDeath), nothingClaimed, another),
		},
		{
			Name: "child_holds_port", Suite: SuiteWorkers,
			Assumes: "every worker takes connections; one has forked a child that holds its port, and ignores SIGTERM",
			Fault:   "that worker gets SIGKILL; then another one forks such a child, and the run is stopped",
			Brings:  "an adapter that forks", needs: needsPython,
			steps: then(bring("Parent", "--grace", "1s"), start, forkOne, killTarget, targetBack, othersUntouched, hurtGone, forkOne),
		},
		{
			Name: "setsid_grandchild", Suite: SuiteWorkers,
			Assumes: "every worker takes connections; one has a child in a session of its own, which ignores SIGTERM",
			Fault:   "the supervisor gets SIGKILL; then another run with such a child is stopped",
			Brings:  "an adapter that starts a child in a session of its own", needs: needsPython,
			steps: then(bring("Parent", "--grace", "1s"),
				start, sendAway, pause(500*time.Millisecond), killSupervisor, allGone(afterSweep), allOver(afterSweep),
				ending{how: "supervisor_died"}.told, nothingOnDisk, another, sendAway),
		},
		{
			Name: "memory_limit", Suite: SuiteWorkers,
			Assumes: "every worker takes connections, and may take 200 MB (--max-memory 200MB --health-interval 100ms)",
			Fault:   "a call has one of them keep 250 MB",
			Brings:  "an adapter that keeps what it is fed with", needs: needsPython,
			steps: then(bring("Hungry", "--max-memory", "200MB", "--health-interval", "100ms"), start, feedOne, targetBack, targetGone, replacedOnce("max_memory"), othersUntouched),
		},
		{
			Name: "start_fails_every_other_time", Suite: SuiteWorkers,
			Assumes: "every worker takes connections, and none stands by (--standby 0)",
			Fault:   "a worker gets SIGKILL, up to 0.5 s after that, and its next start fails",
			Brings:  "an adapter that raises at its second start", needs: needsPython,
			steps: then(bring("Moody", "--standby", "0"), start, pause(500*time.Millisecond), crashOne, targetBack, startedThrice, othersUntouched),
		},
		{
			Name: "slow_stop", Suite: SuiteWorkers,
			Assumes: "every worker takes connections",
			Fault:   "the run is stopped, and each worker takes 1.5 s to end, of 10 s that it has",
			Brings:  "an adapter that is slow to close", needs: needsPython,
			steps: append(then(bring("Slow", "--grace", "10s"), start), everybodyClosed),
		},
	}
}

// needsPython is for scenarios that bring an adapter.
func needsPython(o Options) string {
	if o.Pool.NoPython != "" {
		return "it brings an adapter, and there is no Python to run it: " + o.Pool.NoPython
	}
	return ""
}

// needsHealth is for scenarios in which only a health RPC can tell.
func needsHealth(o Options) string {
	if o.Pool.NoHealth {
		return "the settings have a command whose health is not asked for (ready: tcp or log)"
	}
	return ""
}

// needsRestarts is for scenarios in which a worker has to come back by itself.
func needsRestarts(o Options) string {
	if o.Pool.NoRestarts {
		return "the settings give a worker up at its first crash (max_restarts)"
	}
	return ""
}

func withFlags(flags ...string) step {
	return func(_ context.Context, s *stage) error {
		s.first().flags = append(slices.Clip(s.first().flags), flags...)
		return nil
	}
}
