package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// What is done to single workers, or what they do, and how it is to end.

// secondRun ends the names of the checks about the other run of a scenario.
const secondRun = ", 2nd run"

// another has the scenario go on with another run of the same kind.
func another(ctx context.Context, s *stage) error {
	if s.failed {
		return errEnough
	}
	r := s.newRun()
	r.flags, r.brought = s.first().flags, s.first().brought
	s.current, s.hurt, s.suffix = r, nil, secondRun
	return start(ctx, s)
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
