package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
			steps: then(bring("Deaf", "--grace", "1s"), start, pause(500*time.Millisecond), killBoth, allGone(afterDeath), allOver(afterDeath), another),
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
			Assumes: "every worker takes connections",
			Fault:   "a worker gets SIGKILL, up to 0.5 s after that, and its next start fails",
			Brings:  "an adapter that raises at its second start", needs: needsPython,
			steps: then(bring("Moody"), start, pause(500*time.Millisecond), crashOne, targetBack, startedThrice, othersUntouched),
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

// another has the scenario go on with another run of the same kind.
func another(ctx context.Context, s *stage) error {
	if s.failed {
		return errEnough
	}
	r := s.newRun()
	r.flags, r.brought = s.first().flags, s.first().brought
	s.current, s.hurt = r, nil
	return start(ctx, s)
}

// storm kills worker processes, whichever are there.
func storm(ctx context.Context, s *stage) error {
	r := s.first()
	s.before = []process{r.supervisor}
	if r.guard.pid != 0 {
		s.before = append(s.before, r.guard)
	}
	for range 2 * len(r.workers) {
		there, err := r.slotProcesses()
		if err != nil {
			return err
		}
		after := s.between(0, 200*time.Millisecond) // taken in any case: the numbers after it stay the same
		pick := s.rand.IntN(1 << 30)
		if len(there) > 0 {
			p := there[pick%len(there)]
			s.fault("%s, PID %d, gets SIGKILL", p.value("SNAKEPIT_WORKER_ID"), p.pid)
			_ = send(p.ident, syscall.SIGKILL) // it may have ended meanwhile: it is a storm
		}
		if !sleep(ctx, after) {
			return nil
		}
	}
	return nil
}

// slotProcesses are the processes in slots, those that only start included: the
// supervisor's own children with the name of a slot.
func (r *run) slotProcesses() ([]process, error) {
	mine, err := r.processes()
	return slices.DeleteFunc(mine, func(p process) bool {
		return p.ppid != r.supervisor.pid || p.role() != "" || p.value("SNAKEPIT_WORKER_ID") == "" || p.pid != p.pgid
	}), err
}

// ownersUntouched looks whether supervisor and guard are the same.
func ownersUntouched(_ context.Context, s *stage) error {
	s.checkUntouched("supervisor and guard", s.before)
	return nil
}

// settled waits until each worker serves again, or is said to be given up.
func settled(ctx context.Context, s *stage) error {
	r := s.first()
	slots := make([]string, len(r.workers))
	for i, w := range r.workers {
		slots[i] = w.slot
	}
	s.doing("waiting for %d workers to serve again, or to be given up", len(slots))
	var waiting []string
	done := await(ctx, readyLimit, func() bool {
		_ = r.look() // it says that not all serve, which is what is waited for
		waiting = nil
		for _, slot := range slots {
			if w := r.slot(slot); w.pid != 0 && w.serves(r) == nil || r.state(slot) == "failed" {
				continue
			}
			waiting = append(waiting, slot)
		}
		return len(waiting) == 0
	})
	if ctx.Err() != nil {
		return nil
	}
	took := time.Since(s.faultAt)
	c := Check{Name: "settled", Passed: done, Took: took, Limit: readyLimit}
	serving := 0
	s.given = nil
	for _, slot := range slots {
		if r.state(slot) == "failed" {
			s.given = append(s.given, slot)
		} else {
			serving++
		}
	}
	c.Detail = fmt.Sprintf("%d of %d serve, %d are said to have failed, after %v, limit %v", serving, len(slots), len(s.given), round(took), readyLimit)
	if !done {
		c.Detail = fmt.Sprintf("neither serving nor failed after %v: %v", readyLimit, waiting)
	}
	s.check(c)
	return nil
}

// state is the state of a worker, as the events say.
func (r *run) state(slot string) (state string) {
	for _, e := range r.readEvents() {
		if e.Event == "worker_state" && e.Worker == slot {
			state = e.To
		}
	}
	return state
}

// restartFailed brings back those that were given up.
func restartFailed(ctx context.Context, s *stage) error {
	r := s.first()
	if len(s.given) > 0 {
		p, err := r.snakepit(ctx, append([]string{"restart"}, s.given...)...)
		if err != nil {
			return err
		}
		s.check(Check{Name: "restart", Passed: p.code == 0, Detail: fmt.Sprintf("exit code %d for %s%s", p.code, strings.Join(s.given, ", "), unless(p.code == 0, p))})
	}
	return r.awaitSteady(ctx, readyLimit)
}

// oneEach looks whether every slot has one process, and no more.
func oneEach(_ context.Context, s *stage) error {
	r := s.first()
	there, err := r.slotProcesses()
	if err != nil {
		return err
	}
	slots := map[string]int{}
	for _, p := range there {
		slots[p.value("SNAKEPIT_WORKER_ID")]++
	}
	c := Check{Name: "one process a worker", Passed: len(slots) == len(r.workers) && len(there) == len(slots)}
	c.Detail = fmt.Sprintf("%s in %s", count(len(there), "process", "processes"), count(len(slots), "slot", "slots"))
	s.check(c)
	return nil
}

// hangOne halts a worker, which has to be noticed.
func hangOne(_ context.Context, s *stage) error {
	s.aim(s.first().anyWorker())
	s.fault("%s, PID %d, gets SIGSTOP", s.target.slot, s.target.pid)
	return freeze(s.target.process)
}

func targetBack(ctx context.Context, s *stage) error { return s.awaitBack(ctx, s.first(), s.target) }

// targetGone looks for the process that was replaced.
func targetGone(_ context.Context, s *stage) error {
	s.check(Check{Name: "the old process", Passed: !alive(s.target.ident), Detail: fmt.Sprintf("PID %d is alive: %s", s.target.pid, yesNo(alive(s.target.ident)))})
	return nil
}

func killTarget(_ context.Context, s *stage) error { return s.kill(s.target.slot, s.target.process) }

// ask calls a tool of a worker and reads the PID out of its answer.
func (s *stage) ask(ctx context.Context, w worker, words ...string) (process, error) {
	p, err := s.first().expect(ctx, 0, append(append([]string{"call"}, words...), "--worker", w.slot)...)
	if err != nil {
		return process{}, err
	}
	var answer struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal([]byte(p.out), &answer); err != nil {
		return process{}, fmt.Errorf("cannot read the answer of the tool: %w: %s", err, p.out)
	}
	return lookup(answer.PID)
}

// forkOne has a worker fork a child that holds its port.
func forkOne(ctx context.Context, s *stage) error {
	s.aim(s.first().anyWorker())
	child, err := s.ask(ctx, s.target, "fork")
	if err != nil {
		return err
	}
	s.fault("%s, PID %d, has forked PID %d", s.target.slot, s.target.pid, child.pid)
	s.hurt = []process{child}
	return nil
}

// hurtGone looks for those whose parent has ended.
func hurtGone(_ context.Context, s *stage) error {
	left := living(s.hurt)
	s.check(Check{Name: "the child", Passed: len(left) == 0, Detail: fmt.Sprintf("PID %v; alive: %s", pidsOf(s.hurt), found(left))})
	return nil
}

// sendAway has a worker start a child that leaves its group.
func sendAway(ctx context.Context, s *stage) error {
	s.aim(s.first().anyWorker())
	child, err := s.ask(ctx, s.target, "send_away")
	if err != nil {
		return err
	}
	s.fault("%s, PID %d, has a child in a session of its own, PID %d", s.target.slot, s.target.pid, child.pid)
	if child.sid != child.pid {
		return fmt.Errorf("the fault could not be injected: PID %d is in session %d", child.pid, child.sid)
	}
	s.hurt = []process{child}
	return nil
}

// feedOne has a worker take more memory than it may. The call itself must not fail.
func feedOne(ctx context.Context, s *stage) error {
	s.aim(s.first().anyWorker())
	s.fault("%s, PID %d, is made to keep 250 MB", s.target.slot, s.target.pid)
	p, err := s.first().snakepit(ctx, "call", "eat", `{"megabytes": 250}`, "--worker", s.target.slot)
	if err != nil {
		return err
	}
	s.check(Check{Name: "the call", Passed: p.code == 0, Detail: fmt.Sprintf("exit code %d, wanted 0%s", p.code, unless(p.code == 0, p))})
	return nil
}

// replacedOnce looks whether the events say why the worker was replaced, once.
func replacedOnce(cause string) step {
	return func(_ context.Context, s *stage) error {
		said := 0
		for _, e := range s.first().readEvents() {
			if e.Worker == s.target.slot && e.Cause == cause {
				said++
			}
		}
		s.check(Check{Name: "the cause", Passed: said == 1, Detail: fmt.Sprintf("the events say %s %d times, wanted 1", cause, said)})
		return nil
	}
}

// startedThrice looks whether the worker was started as often as was needed: once,
// once in vain, and once more.
func startedThrice(_ context.Context, s *stage) error {
	text, err := os.ReadFile(filepath.Join(s.adapterDir(), s.target.slot+".starts"))
	if err != nil {
		return fmt.Errorf("cannot see how often %s was started: %w", s.target.slot, err)
	}
	s.check(Check{Name: "starts", Passed: len(text) == 3, Detail: fmt.Sprintf("%s was started %d times, wanted 3", s.target.slot, len(text))})
	return nil
}

// everybodyClosed looks whether every worker was left the time that it needs to end.
func everybodyClosed(_ context.Context, s *stage) error {
	var cut []int
	for _, w := range s.first().workers {
		if _, err := os.Stat(filepath.Join(s.adapterDir(), strconv.Itoa(w.pid)+".closed")); err != nil {
			cut = append(cut, w.pid)
		}
	}
	s.check(Check{Name: "nobody cut short", Passed: len(cut) == 0, Detail: fmt.Sprintf("%d of %d workers came to their end; ended before: PID %v", len(s.first().workers)-len(cut), len(s.first().workers), cut)})
	return nil
}
