package chaos

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// storm kills worker processes, whichever are there.
func storm(ctx context.Context, s *stage) error {
	r := s.first()
	s.before = []process{r.supervisor}
	if r.guard.pid != 0 {
		s.before = append(s.before, r.guard)
	}
	for range 2 * len(r.workers) {
		there, err := r.inSlots()
		if err != nil {
			return err
		}
		after := s.between(0, 200*time.Millisecond) // taken in any case: the numbers after it stay the same
		pick := s.rand.IntN(1 << 30)
		if len(there) > 0 {
			p := there[pick%len(there)]
			s.fault("%s, PID %d, gets SIGKILL", p.slot, p.pid)
			_ = send(p.ident, syscall.SIGKILL) // it may have ended meanwhile: it is a storm
		}
		if !sleep(ctx, after) {
			return nil
		}
	}
	return nil
}

// inSlots are the processes in slots: those that the registry names, and those that
// lead a group and carry the name of a slot that their parent does not, which may
// only start yet. What else a run consists of is in none.
func (r *run) inSlots() ([]worker, error) {
	mine, err := r.processes()
	if err != nil {
		return nil, err
	}
	entries, err := r.readRegistry()
	return slotsOf(mine, entries), err
}

func slotsOf(mine []process, entries []entryFile) []worker {
	registered, named := map[int]string{}, map[int]string{}
	for _, e := range entries {
		registered[e.PID] = e.Worker
	}
	for _, p := range mine {
		named[p.pid] = p.value("SNAKEPIT_WORKER_ID")
	}
	var there []worker
	for _, p := range mine {
		slot := registered[p.pid]
		if slot == "" && p.role() == "" && p.pid == p.pgid && isSlot(named[p.pid]) && named[p.ppid] != named[p.pid] {
			slot = named[p.pid]
		}
		if slot != "" {
			there = append(there, worker{process: p, slot: slot})
		}
	}
	return there
}

// isSlot tells the id of a worker, which ends in a number, from that of a process
// beside the workers: a forkserver, a fork that stands by.
func isSlot(id string) bool {
	_, err := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
	return err == nil
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
	there, err := r.inSlots()
	if err != nil {
		return err
	}
	slots := map[string]int{}
	for _, p := range there {
		slots[p.slot]++
	}
	c := Check{Name: "one process a worker", Passed: len(slots) == len(r.workers) && len(there) == len(slots)}
	c.Detail = fmt.Sprintf("%s in %s", count(len(there), "process", "processes"), count(len(slots), "slot", "slots"))
	s.check(c)
	return nil
}
