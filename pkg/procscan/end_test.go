package procscan

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// patient gives processes on a slow machine the time they need; nothing that
// works takes so long.
var patient = EndOptions{Grace: 20 * time.Second, KillWait: 20 * time.Second}

// brief is for processes that will not obey anyway.
var brief = EndOptions{Grace: 50 * time.Millisecond, KillWait: 20 * time.Second}

func TestEnd(t *testing.T) {
	run := newRun()
	for name, tt := range map[string]struct {
		fixture string
		opts    EndOptions
		want    string
	}{
		"obeys":        {"sleep", patient, "TERM"},
		"ignores TERM": {"ignore-term", brief, "KILL"},
		"no grace":     {"sleep", EndOptions{}, "KILL"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, tt.fixture, worker(run))
			e := End(soon(t), []Target{{ID: f.id, RunID: run}}, tt.opts)[0]
			if e.ID != f.id || e.Signal != tt.want || e.Err != nil || e.Alive || e.Took <= 0 {
				t.Errorf("%+v", e)
			}
			mustAlive(t, f.id, false)
		})
	}
}

// TestLadder: who wants no grace does not want a reaction to TERM either.
func TestLadder(t *testing.T) {
	for _, tt := range []struct {
		opts EndOptions
		want []rung
	}{
		{EndOptions{}, []rung{{syscall.SIGKILL, "KILL", 5 * time.Second}}},
		{EndOptions{Grace: 1, KillWait: 2}, []rung{{syscall.SIGTERM, "TERM", 1}, {syscall.SIGKILL, "KILL", 2}}},
	} {
		if got := tt.opts.ladder(); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %+v, want %+v", tt.opts, got, tt.want)
		}
	}
}

func TestEndContinuesTheStopped(t *testing.T) {
	run := newRun()
	f := start(t, "sleep", worker(run))
	if err := f.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(f.id.PID, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("not stopped: %v, %v", status, err)
	}
	e := End(soon(t), []Target{{ID: f.id, RunID: run}}, patient)[0]
	if e.Signal != "TERM" || e.Err != nil || e.Alive {
		t.Errorf("%+v", e)
	}
}

func TestEndOfTheGone(t *testing.T) {
	f := start(t, "sleep")
	_ = f.cmd.Process.Kill()
	_, _ = f.cmd.Process.Wait()
	e := End(soon(t), []Target{{ID: f.id, TrustIdentity: true}}, patient)[0]
	if e.Signal != "" || e.Err != nil || e.Alive {
		t.Errorf("%+v", e)
	}
}

// TestEndNeverTouches: the target is not what the caller believes it to be.
func TestEndNeverTouches(t *testing.T) {
	run := newRun()
	innocent := start(t, "sleep", args("grep", "--", RunIDFlag, run))
	neighbour := start(t, "sleep", worker(run+"2"))
	member := start(t, "sleep", worker(run))
	reused := member.id
	reused.Start--
	earlier := member.id
	earlier.Boot = "the boot before"
	self := mustLookup(t, os.Getpid())

	for name, tt := range map[string]struct {
		target Target
		want   error // nil: taken for gone
		alive  bool
	}{
		"no proof":                 {Target{ID: innocent.id, RunID: run}, ErrUnmarked, true},
		"another run":              {Target{ID: neighbour.id, RunID: run}, ErrUnmarked, true},
		"no run":                   {Target{ID: innocent.id}, ErrUnmarked, true},
		"a reused PID":             {Target{ID: reused, RunID: run}, nil, false},
		"a reused PID, trusted":    {Target{ID: reused, TrustIdentity: true}, nil, false},
		"a PID of another boot":    {Target{ID: earlier, TrustIdentity: true}, nil, false},
		"nobody":                   {Target{TrustIdentity: true}, nil, false},
		"every process, kill(-1)":  {Target{ID: ID{PID: -1}, TrustIdentity: true}, nil, false},
		"the one that asks for it": {Target{ID: self, TrustIdentity: true}, errSelf, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := End(soon(t), []Target{tt.target}, EndOptions{})[0]
			if e.Signal != "" || e.Alive != tt.alive || !errors.Is(e.Err, tt.want) {
				t.Errorf("%+v; want %v, alive %v", e, tt.want, tt.alive)
			}
		})
	}
	for _, f := range []fixture{innocent, neighbour, member} {
		mustAlive(t, f.id, true)
	}
}

func TestEndStopsWithContext(t *testing.T) {
	f := start(t, "ignore-term")
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan []Ended)
	go func() { result <- End(ctx, []Target{{ID: f.id, TrustIdentity: true}}, patient) }()
	cancel()
	if e := (<-result)[0]; !errors.Is(e.Err, context.Canceled) || !e.Alive || e.Signal == "KILL" {
		t.Errorf("%+v", e)
	}
	mustAlive(t, f.id, true)
}

func TestEndAllAtOnce(t *testing.T) {
	run := newRun()
	var targets []Target
	for range 5 {
		targets = append(targets, Target{ID: start(t, "ignore-term", worker(run)).id, RunID: run})
	}
	began := time.Now()
	for i, e := range End(soon(t), targets, EndOptions{Grace: time.Second}) {
		if e.ID != targets[i].ID || e.Signal != "KILL" || e.Alive {
			t.Errorf("%+v", e)
		}
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %v: one after the other", took)
	}
}
