package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The suite about those that the fault is not for.
func neighboursSuite() []Scenario {
	died := ending{how: "supervisor_died"}
	return []Scenario{
		{
			Name: "one_of_two_crashes", Suite: SuiteNeighbours,
			Assumes: "two runs side by side in one state directory, and all their workers take connections",
			Fault:   "the supervisor of one of them gets SIGKILL, up to 1 s after that",
			needs:   needsAll(needsGuard, needsFreePorts),
			steps: []step{
				start, startNeighbour(unrelated), pause(time.Second), killSupervisor,
				allGone(afterDeath), allOver(afterSweep), died.told, nothingOnDisk,
				neighbourUntouched, stopNeighbour,
			},
		},
		{
			Name: "equal_prefixes", Suite: SuiteNeighbours,
			Assumes: "two runs whose ids begin alike, one the longer one; a worker of the first is frozen",
			Fault:   "supervisor and guard of the first get SIGKILL in the same instant; what is left is ended with kill-orphans",
			needs:   needsAll(needsGuard, needsFreePorts),
			steps: []step{
				start, startNeighbour(alike), pause(500 * time.Millisecond), freezeOne, killBoth, onlyHurtLeft,
				orphansKilled, allGone(afterKill), allOver(afterKill), died.told, nothingOnDisk,
				neighbourUntouched, stopNeighbour,
			},
		},
		{
			Name: "decoys", Suite: SuiteNeighbours,
			Assumes: "every worker takes connections; then one is frozen",
			Fault:   "supervisor and guard get SIGKILL in the same instant; a stranger has got the PID of a dead worker that the registry names; what is left is ended with kill-orphans, or by the next start",
			needs:   needsGuard,
			steps: []step{
				start, pause(500 * time.Millisecond), freezeOne, killBoth, onlyHurtLeft, recyclePID,
				sweptOrKilled, allGone(afterKill), allOver(afterKill), nothingOnDisk,
			},
		},
	}
}

func unrelated(s *stage) string { return s.newID() }

// alike is a run id that begins with the first one's, or with which that begins.
func alike(s *stage) string {
	id := s.first().id
	if s.rand.IntN(2) == 0 {
		return id[:len(id)-1]
	}
	return id + "-0"
}

func startNeighbour(name func(*stage) string) step {
	return func(ctx context.Context, s *stage) error { return s.startRun(ctx, s.newRunAs(name(s))) }
}

// neighbourUntouched looks whether the second run is as it was, and still serves.
func neighbourUntouched(_ context.Context, s *stage) error {
	n := s.runs[1]
	s.checkUntouched("the neighbour", append(n.workerProcesses(), n.supervisor, n.guard))
	before := n.workerProcesses()
	err := n.look()
	same := slices.EqualFunc(before, n.workerProcesses(), func(a, b process) bool { return a.ident == b.ident })
	s.check(Check{Name: "the neighbour serves", Passed: err == nil && same, Detail: fmt.Sprintf("%s take connections, and are the same: %s%s", count(len(before), "worker", "workers"), yesNo(same), errorText(err))})
	return nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

func stopNeighbour(ctx context.Context, s *stage) error {
	n := s.runs[1]
	return s.aside("the neighbour stops", func() error {
		if err := s.stopRun(ctx, n); err != nil {
			return err
		}
		return s.settledOver(ctx, n)
	})
}

// onlyHurtLeft waits until everybody has ended who can.
func onlyHurtLeft(ctx context.Context, s *stage) error {
	r, hurt := s.first(), pidsOf(s.hurt)
	var left []int
	var failed error
	most := afterDeath(r)
	only := await(ctx, most, func() bool {
		var mine []process
		mine, failed = r.processes()
		left = pidsOf(mine)
		return failed != nil || slices.Equal(left, hurt)
	})
	if failed != nil || ctx.Err() != nil {
		return failed
	}
	took := time.Since(s.faultAt)
	s.check(Check{Name: "only those that cannot end", Passed: only, Took: took, Limit: most, Detail: fmt.Sprintf("alive: PID %v, wanted %v, after %v, limit %v", left, hurt, round(took), most)})
	return nil
}

// orphansKilled has the program end what is left, and say whom.
func orphansKilled(ctx context.Context, s *stage) error {
	p, err := s.first().snakepit(ctx, "kill-orphans", "--yes", "-o", "json")
	if err != nil {
		return err
	}
	var said struct {
		Killed []struct {
			PID int `json:"pid"`
		} `json:"killed"`
		Survivors []int `json:"survivors"`
	}
	if err := json.Unmarshal([]byte(p.out), &said); err != nil {
		s.check(Check{Name: "kill-orphans", Detail: p.String()})
		return nil
	}
	var killed []int
	for _, k := range said.Killed {
		killed = append(killed, k.PID)
	}
	hurt := pidsOf(s.hurt)
	fine := p.code == 0 && slices.Equal(sorted(killed), hurt) && len(said.Survivors) == 0
	s.check(Check{Name: "kill-orphans", Passed: fine, Detail: fmt.Sprintf("exit code %d, it says that it has killed PID %v, wanted %v%s", p.code, killed, hurt, unless(fine, p))})
	return nil
}

// recyclePID has the registry name a dead worker whose number a stranger has by now:
// a bystander without any mark, which has started at another time.
func recyclePID(_ context.Context, s *stage) error {
	if err := s.startDecoy("a stranger who has got the PID of a dead worker", nil, "-c", "read x"); err != nil {
		return err
	}
	stranger := s.decoys[len(s.decoys)-1]
	path := filepath.Join(s.first().dir(), "workers.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the fault could not be injected: %w", err)
	}
	var registry map[string]any
	if err := json.Unmarshal(text, &registry); err != nil {
		return fmt.Errorf("the fault could not be injected: %w", err)
	}
	entries, _ := registry["workers"].([]any)
	if len(entries) == 0 {
		return fmt.Errorf("the fault could not be injected: the registry names nobody: %s", text)
	}
	entry, _ := entries[0].(map[string]any)
	forged := maps.Clone(entry)
	forged["worker"], forged["pid"] = "default-99", stranger.pid
	registry["workers"] = append(entries, forged)
	if text, err = json.Marshal(registry); err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("the fault could not be injected: %w", err)
	}
	s.fault("PID %d of a dead worker is somebody else's by now", stranger.pid)
	return nil
}

// sweptOrKilled has what is left be ended by the one way or by the other.
func sweptOrKilled(ctx context.Context, s *stage) error {
	if s.rand.IntN(2) == 0 {
		if err := orphansKilled(ctx, s); err != nil {
			return err
		}
		return ending{how: "supervisor_died"}.told(ctx, s)
	}
	s.checkUnclaimed(s.first())
	return idFreeAgain(ctx, s)
}
