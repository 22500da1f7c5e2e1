package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// journal is a Watcher that keeps what it is told.
type journal struct {
	lines    []string
	outcomes []Outcome
}

func (j *journal) Began(s Scenario, round int) {
	j.lines = append(j.lines, fmt.Sprintf("%s %d", s.Name, round))
}
func (j *journal) Doing(string)  {}
func (j *journal) Checked(Check) {}
func (j *journal) Ended(o Outcome) {
	j.outcomes = append(j.outcomes, o)
}

// fake is a scenario of steps that do not need the program.
func fake(name string, steps ...step) Scenario {
	return Scenario{Name: name, Suite: "fake", Assumes: "nothing", Fault: "none", steps: steps}
}

func holds(_ context.Context, s *stage) error {
	s.check(Check{Name: "it holds", Passed: true})
	return nil
}

func holdsNot(_ context.Context, s *stage) error {
	s.check(Check{Name: "it holds", Detail: "it does not"})
	return nil
}

func play(t *testing.T, ctx context.Context, o Options, scenarios ...Scenario) (Report, *journal) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	j := &journal{}
	o.Watcher = j
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	report, err := Run(ctx, scenarios, o)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
	return report, j
}

func TestRounds(t *testing.T) {
	bad := fake("bad", holdsNot, holds)
	for name, tt := range map[string]struct {
		options Options
		given   []Scenario
		want    []string
		passed  bool
	}{
		"in rounds":             {Options{Rounds: 2}, []Scenario{fake("a", holds), fake("b", holds)}, []string{"a 1", "b 1", "a 2", "b 2"}, true},
		"a failure is the end":  {Options{Rounds: 2}, []Scenario{fake("a", holds), bad, fake("c", holds)}, []string{"a 1", "bad 1"}, false},
		"unless it is to go on": {Options{Rounds: 2, KeepGoing: true}, []Scenario{bad, fake("c", holds)}, []string{"bad 1", "c 1", "bad 2", "c 2"}, false},
		"at least once":         {Options{}, []Scenario{fake("a", holds)}, []string{"a 1"}, true},
		"for no time: once":     {Options{Duration: time.Nanosecond, Rounds: 9}, []Scenario{fake("a", holds), fake("b", holds)}, []string{"a 1", "b 1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			report, j := play(t, t.Context(), tt.options, tt.given...)
			if diff := cmp.Diff(tt.want, j.lines); diff != "" || report.Passed() != tt.passed {
				t.Errorf("passed %v, want %v; (-want +got):\n%s", report.Passed(), tt.passed, diff)
			}
		})
	}
}

// The same seed gives the same numbers, whatever else runs; a later round is met
// again by its own seed.
func TestSeeds(t *testing.T) {
	drawn := map[string][]string{}
	draw := func(_ context.Context, s *stage) error {
		drawn[s.scenario.Name] = append(drawn[s.scenario.Name], fmt.Sprint(s.between(0, time.Hour), s.rand.IntN(1000), s.newID()[:10]))
		return nil
	}
	a, b := fake("a", draw, holds), fake("b", draw, holds)
	play(t, t.Context(), Options{Seed: 5, Rounds: 2}, a, b)
	first := drawn
	drawn = map[string][]string{}
	play(t, t.Context(), Options{Seed: 5, Rounds: 1}, b)
	play(t, t.Context(), Options{Seed: 6, Rounds: 1}, b)
	if diff := cmp.Diff(first["b"], drawn["b"]); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
	if first["a"][0] == first["b"][0] || first["a"][0] == first["a"][1] {
		t.Errorf("different scenarios and rounds draw the same: %v", first)
	}
}

func TestOutcomes(t *testing.T) {
	failing := func(context.Context, *stage) error { return errors.New("no supervisor") }
	skipping := func(context.Context, *stage) error { return &skip{"no tmpfs"} }
	forever := func(ctx context.Context, _ *stage) error { <-ctx.Done(); return ctx.Err() }
	harm := func(_ context.Context, s *stage) error { return s.decoys[2].cmd.Process.Kill() }
	unfit := fake("unfit", holds)
	unfit.needs = func(Options) string { return "not here" }
	for name, tt := range map[string]struct {
		scenario Scenario
		skipped  string
		failed   string
	}{
		"holds":                {fake("x", holds), "", ""},
		"does not":             {fake("x", holdsNot), "", "it holds: it does not"},
		"cannot go on":         {fake("x", failing, holds), "", "the scenario goes on: no supervisor"},
		"finds it cannot be":   {fake("x", skipping, holdsNot), "no tmpfs", ""},
		"knows it cannot be":   {unfit, "not here", ""},
		"takes too long":       {fake("x", forever), "", "time: not done after 300ms, the limit for a scenario"},
		"harms a bystander":    {fake("x", harm, holds, gone), "", "bystanders: an editor of a worker's script was harmed"},
		"leaves a process":     {fake("x", leave, holds), "", "cleanup: this had to be ended at the end: PID"},
		"leaves one, and more": {fake("x", leave, holdsNot), "", "it holds: it does not"},
	} {
		t.Run(name, func(t *testing.T) {
			_, j := play(t, t.Context(), Options{Timeout: 300 * time.Millisecond}, tt.scenario)
			o := j.outcomes[0]
			var failed []string
			for _, c := range o.Failed() {
				failed = append(failed, c.Name+": "+c.Detail)
			}
			text := strings.Join(failed, "\n")
			if o.Skipped != tt.skipped || !strings.HasPrefix(text, tt.failed) || tt.failed == "" && text != "" || len(failed) > 1 {
				t.Errorf("skipped %q, failed %q; want %q, %q", o.Skipped, text, tt.skipped, tt.failed)
			}
			if o.Passed != (tt.failed == "" && tt.skipped == "") {
				t.Errorf("passed: %v", o.Passed)
			}
		})
	}
}

// gone waits until the bystander that was killed has ended.
func gone(ctx context.Context, s *stage) error {
	await(ctx, time.Minute, func() bool { return !alive(s.decoys[2].ident) })
	return nil
}

// leave starts a process that carries our token, as what a run consists of does,
// and nothing else.
func leave(_ context.Context, s *stage) error {
	cmd := exec.Command("sleep", "600")
	cmd.Env = append(os.Environ(), tokenVariable+"="+s.first().token)
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait()
	return nil
}

// A cleanup of ours that fails is a failure of the scenario, however that went, and
// names what is left.
func TestCleanupFails(t *testing.T) {
	stuck := func(_ context.Context, s *stage) error {
		s.undo = append(s.undo, func() error { return errors.New("cannot unmount /somewhere") })
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	cutting := func(context.Context, *stage) error { cancel(); return nil }
	skipping := func(context.Context, *stage) error { return &skip{"no tmpfs"} }
	for name, tt := range map[string]struct {
		scenario Scenario
		ctx      context.Context
		failed   int
	}{
		"of one that holds":    {fake("x", stuck, holds), t.Context(), 1},
		"of one that does not": {fake("x", stuck, holdsNot), t.Context(), 2},
		"of one that skips":    {fake("x", stuck, skipping), t.Context(), 1},
		"of one that is cut":   {fake("x", stuck, cutting, holdsNot), ctx, 1},
	} {
		t.Run(name, func(t *testing.T) {
			report, j := play(t, tt.ctx, Options{}, tt.scenario)
			o := j.outcomes[0]
			failed := o.Failed()
			if len(failed) != tt.failed || failed[len(failed)-1].Name != "cleanup" || !strings.Contains(failed[len(failed)-1].Detail, "cannot unmount /somewhere") {
				t.Errorf("%+v", o)
			}
			if o.Passed || o.Skipped != "" || report.Passed() || report.Results[0].Failures != 1 {
				t.Errorf("%+v", report)
			}
		})
	}
}

// Whom a cleanup may not end, it names, and it ends the others all the same.
func TestCleanupIsRefused(t *testing.T) {
	var refused ident
	var other process
	two := func(ctx context.Context, s *stage) error {
		if err := errors.Join(leave(ctx, s), leave(ctx, s)); err != nil {
			return err
		}
		mine, err := s.first().processes()
		if err != nil || len(mine) != 2 {
			return fmt.Errorf("%v, %w", mine, err)
		}
		refused, other = mine[0].ident, mine[1]
		s.signal = func(id ident, sig syscall.Signal) error {
			if id == refused {
				return errors.New("operation not permitted")
			}
			return send(id, sig)
		}
		return nil
	}
	_, j := play(t, t.Context(), Options{}, fake("x", two, holds))
	detail := j.outcomes[0].Failed()[0].Detail
	if want := fmt.Sprintf("cannot end PID %d (sleep 600)", refused.pid); !strings.Contains(detail, want) || !strings.Contains(detail, "not permitted") {
		t.Errorf("%q, want %q", detail, want)
	}
	if alive(other.ident) {
		t.Errorf("%s lives", other)
	}
	if err := send(refused, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// A scenario that starts a run has to look at everything that is promised of one.
func TestScenarioIsWhole(t *testing.T) {
	pretend := func(_ context.Context, s *stage) error { s.started = true; return nil }
	_, j := play(t, t.Context(), Options{Pool: Pool{Guard: "kill"}}, fake("x", pretend, holds))
	failed := j.outcomes[0].Failed()
	if len(failed) != 1 || failed[0].Name != "the scenario is whole" || !strings.Contains(failed[0].Detail, `"no survivor" "run over" "ports" "registry, socket, lock" "record" "events"`) {
		t.Errorf("%+v", failed)
	}
}

// What runs is ended when the context is, and nothing is said to be proven.
func TestCutShort(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var left ident
	cut := func(ctx context.Context, s *stage) error {
		if err := leave(ctx, s); err != nil {
			return err
		}
		mine, err := s.first().processes()
		if err != nil || len(mine) != 1 {
			return fmt.Errorf("%v, %w", mine, err)
		}
		left = mine[0].ident
		cancel()
		return nil
	}
	report, j := play(t, ctx, Options{Rounds: 3, KeepGoing: true}, fake("a", holds), fake("b", cut, holds), fake("c", holds))
	if !report.Cut || report.Passed() || len(j.outcomes) != 2 || !j.outcomes[1].Cut || report.Results[1].Iterations != 0 || !report.Results[1].Cut || report.Results[2].Cut {
		t.Errorf("%+v\n%+v", report, j.outcomes)
	}
	if left.pid == 0 || alive(left) {
		t.Errorf("PID %d is left", left.pid)
	}
}

// A pool that is refused is no failure of a promise, unless it was up before.
func TestPoolThatIsRefused(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	refused := fake("refused", func(context.Context, *stage) error { return &UnusableError{"no such adapter"} })
	for name, tt := range map[string]struct {
		given []Scenario
		want  bool
		ran   int
	}{
		"at once":                       {[]Scenario{refused, fake("a", holds)}, true, 1},
		"later":                         {[]Scenario{fake("a", holds), refused}, false, 2},
		"after one that brings its own": {[]Scenario{{Name: "b", Suite: "fake", Brings: "another", steps: []step{holds}}, refused}, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			j := &journal{}
			report, err := Run(t.Context(), tt.given, Options{Rounds: 1, KeepGoing: true, Timeout: time.Minute, Watcher: j})
			var unusable *UnusableError
			if errors.As(err, &unusable) != tt.want || len(j.outcomes) != tt.ran || report.Passed() {
				t.Errorf("%v, after %d, passed %v", err, len(j.outcomes), report.Passed())
			}
		})
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}
