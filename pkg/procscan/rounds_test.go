package procscan

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// endRun ends a run that has nothing to hold it.
func endRun(t *testing.T, run string, opts EndOptions) []Ended {
	t.Helper()
	ended, left, err := EndRun(soon(t), run, nil, opts)
	if err != nil || len(left) > 0 {
		t.Errorf("survivors %v, error %v", pids(left), err)
	}
	for _, e := range ended {
		if e.Err != nil || e.Alive {
			t.Errorf("%+v", e)
		}
	}
	if left := mustScan(t, Options{ReadEnv: true}).Run(run); len(left) > 0 {
		t.Errorf("still there: %v", pids(left))
	}
	return ended
}

func TestEndRunSparesDecoys(t *testing.T) {
	run := newRun()
	member := start(t, "sleep", worker(run))
	decoys := map[string]fixture{}
	for name, how := range map[string][]with{
		"editor":               {args("vim", RunIDFlag+"="+run)},
		"editor, long":         {args("vim", "notes on "+RunIDFlag+" "+run)},
		"grep":                 {args("grep", "--", RunIDFlag, run)},
		"grep in the script":   {args("grep", "--", RunIDFlag, run, "python/grpc_server.py")},
		"shell":                {args("sh", "-c", "python3 grpc_server.py "+RunIDFlag+" "+run)},
		"exported in a shell":  {args("bash"), env(RunIDEnv + "=" + run)},
		"python of its own":    {args("python3", "grpc_server.py", "--port", "0")},
		"longer id":            {worker(run + "2")},
		"shorter id":           {worker(run[:len(run)-1])},
		"worker of another":    {worker(newRun())},
		"grep by a neighbour":  {args("grep", "--", RunIDFlag, run), env(RunIDEnv+"="+newRun(), WorkerIDEnv+"=w")},
		"exported by a worker": {worker(newRun()), env("NOTE=" + RunIDEnv + "=" + run)},
	} {
		decoys[name] = start(t, "sleep", how...)
	}

	ended := endRun(t, run, patient)
	if len(ended) != 1 || ended[0].ID != member.id || ended[0].Signal != "TERM" {
		t.Errorf("ended %+v; want only process %d", ended, member.id.PID)
	}
	for name, decoy := range decoys {
		t.Run(name, func(t *testing.T) { mustAlive(t, decoy.id, true) })
	}
}

func TestEndRunFindsThoseWhoLeft(t *testing.T) {
	for name, tt := range map[string]struct {
		fixture string
		opts    EndOptions
		min     int
	}{
		"grandchild in its own session": {"session-child", patient, 2},
		"ten that ignore TERM":          {"ten-children", brief, 11},
		"leaves a successor":            {"respawn", patient, 2},
	} {
		t.Run(name, func(t *testing.T) {
			run := newRun()
			start(t, tt.fixture, worker(run))
			if ended := endRun(t, run, tt.opts); len(ended) < tt.min {
				t.Errorf("ended %d; want %d", len(ended), tt.min)
			}
		})
	}
}

func TestEndRunExcept(t *testing.T) {
	run := newRun()
	spared, other := start(t, "sleep", worker(run)), start(t, "sleep", worker(run))
	ended, left, err := EndRun(soon(t), run, func(p Process) bool { return p.ID == spared.id }, patient)
	if err != nil || len(left) > 0 || len(ended) != 1 {
		t.Errorf("ended %+v, survivors %v, error %v", ended, pids(left), err)
	}
	mustAlive(t, spared.id, true)
	mustAlive(t, other.id, false)
}

// A run of the same name, and another user's process, are none of ours.
func TestEndRunSparesANeighbourOfTheSameName(t *testing.T) {
	run := newRun()
	ours := start(t, "sleep", worker(run), env(RunKeyEnv+"=ours"))
	spared := []fixture{start(t, "sleep", worker(run), env(RunKeyEnv+"=theirs")), start(t, "sleep", worker(run))}
	all := 1
	if os.Getuid() == 0 { // who has the key may have become another user
		start(t, "sleep", worker(run), env(RunKeyEnv+"=ours"), nobody())
		all++
	}
	ended, left, err := EndRun(soon(t), run, NotOf("ours"), patient)
	if err != nil || len(left) > 0 || len(ended) != all {
		t.Errorf("ended %+v, survivors %v, error %v", ended, pids(left), err)
	}
	mustAlive(t, ours.id, false)
	for _, f := range spared {
		mustAlive(t, f.id, true)
	}
}

func TestNotOf(t *testing.T) {
	for name, tt := range map[string]struct {
		key, has string
		ours     bool
		except   bool
	}{
		"ours":                   {"k", "k", true, false},
		"ours, another user":     {"k", "k", false, false},
		"another key":            {"k", "l", true, true},
		"no key":                 {"k", "", true, true},
		"none known":             {"", "", true, false},
		"none known, other user": {"", "", false, true},
		"none known, has one":    {"", "k", true, true},
	} {
		p := Process{UID: os.Geteuid(), Marker: Marker{Key: tt.has}}
		if !tt.ours {
			p.UID++
		}
		if got := NotOf(tt.key)(p); got != tt.except {
			t.Errorf("%s: excepted: %v", name, got)
		}
	}
}

// A member that hops (it forks, and the parent ends) slips through single looks.
func TestEndAllLooksAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		looks    []bool // whether each look finds somebody new
		thorough bool
		want     int // looks in all
	}{
		"nobody":           {nil, true, 1},
		"one":              {[]bool{true}, true, 4},
		"missed once":      {[]bool{true, false, true}, true, 6},
		"missed twice":     {[]bool{true, false, false, true}, true, 7},
		"not thorough":     {[]bool{true, false, true}, false, 2},
		"nobody, not thor": {nil, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			looks := 0
			find := func(context.Context) ([]Target, error) {
				looks++
				if looks > len(tt.looks) || !tt.looks[looks-1] {
					return nil, nil
				}
				return []Target{{ID: ID{PID: 1<<30 + looks}, TrustIdentity: true}}, nil // nobody's
			}
			if _, err := EndAll(soon(t), find, EndOptions{Thorough: tt.thorough}); err != nil || looks != tt.want {
				t.Errorf("%d looks, %v; want %d", looks, err, tt.want)
			}
		})
	}
}

func TestEndRunOfNobody(t *testing.T) {
	if ended := endRun(t, newRun(), patient); len(ended) > 0 {
		t.Errorf("ended %+v", ended)
	}
}

func TestEndRunTellsSurvivorsAfterContext(t *testing.T) {
	run := newRun()
	f := start(t, "sleep", worker(run))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ended, left, err := EndRun(ctx, run, nil, patient)
	if !errors.Is(err, context.Canceled) || len(ended) > 0 || len(left) != 1 || left[0].ID != f.id {
		t.Errorf("ended %+v, survivors %v, error %v", ended, pids(left), err)
	}
}

func TestTwoEndRunsAtOnce(t *testing.T) {
	run := newRun()
	for range 3 {
		start(t, "sleep", worker(run))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		endRun(t, run, patient)
	}()
	endRun(t, run, patient)
	<-done
}

// leaderGone starts a group, ends its leader, and tells when.
func leaderGone(t *testing.T, name string) (leader ID, child ID, at time.Time) {
	t.Helper()
	f := start(t, name, session())
	child = mustLookup(t, f.pid(0))
	_ = f.cmd.Process.Kill()
	_, _ = f.cmd.Process.Wait()
	return f.id, child, time.Now()
}

func TestEndGroup(t *testing.T) {
	leader, child, at := leaderGone(t, "stubborn-child")
	ended, err := EndGroup(soon(t), leader, at, brief)
	if err != nil || len(ended) != 1 || ended[0].ID != child || ended[0].Signal != "KILL" || ended[0].Alive {
		t.Errorf("%+v, %v", ended, err)
	}
	mustAlive(t, child, false)
}

// TestEndGroupOfSuccessors: a member born after the leader's end is one still.
func TestEndGroupOfSuccessors(t *testing.T) {
	leader, child, _ := leaderGone(t, "heir")
	started, err := StartedAt(child)
	if err != nil {
		t.Fatal(err)
	}
	at := started.Add(10 * time.Millisecond)
	for time.Since(at) < 20*time.Millisecond {
		continue // until the kernel's ticks tell the successor from the child
	}
	ended, err := EndGroup(soon(t), leader, at, patient)
	if err != nil || len(ended) != 2 {
		t.Errorf("%+v, %v; want the child and its successor", ended, err)
	}
	if members, err := groupMembers(soon(t), leader.PID); err != nil || len(members) > 0 {
		t.Errorf("left: %v, %v", members, err)
	}
}

// TestEndGroupOfAReusedNumber: every member is younger than the leader's end,
// so the number has gone to another group meanwhile.
func TestEndGroupOfAReusedNumber(t *testing.T) {
	leader, child, at := leaderGone(t, "group-child")
	ended, err := EndGroup(soon(t), leader, at.Add(-time.Minute), brief)
	if err != nil || len(ended) > 0 {
		t.Errorf("%+v, %v", ended, err)
	}
	mustAlive(t, child, true)
}
