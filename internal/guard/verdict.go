package guard

import (
	"fmt"
	"slices"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Verdict is what a look at the run's processes found, and what became of them.
type Verdict struct {
	Found     []int    `json:"found"`     // PIDs that should not have been there
	Killed    []int    `json:"killed"`    // of these, those that were ended
	Survivors []int    `json:"survivors"` // of these, those that live
	Errors    []string `json:"errors,omitempty"`
}

// clean says that everything could be seen, and that nothing was there.
func (v Verdict) clean() bool { return len(v.Found) == 0 && len(v.Errors) == 0 }

// after is what two looks came to, of which the later one knows who lives.
func (v Verdict) after(before Verdict) Verdict {
	both := func(a, b []int) []int { return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b)))) }
	return Verdict{
		Found: both(before.Found, v.Found), Killed: both(before.Killed, v.Killed), Survivors: v.Survivors,
		Errors: slices.Concat(before.Errors, v.Errors),
	}
}

// complete adds why not everything could be seen.
func (s *scope) complete(v Verdict, err error) Verdict {
	for _, problem := range append(slices.Clip(s.problems), err) {
		if problem != nil {
			v.Errors = append(v.Errors, problem.Error())
		}
	}
	for _, id := range s.closed {
		v.Errors = append(v.Errors, fmt.Sprintf("could not look at PID %d: it is ours, and forbids to be read", id.PID))
	}
	return v
}

func idsOf(targets []procscan.Target) []procscan.ID {
	var ids []procscan.ID
	for _, t := range targets {
		ids = append(ids, t.ID)
	}
	return ids
}

// verdictOf counts each process once: one that nobody could end is found again,
// and the last word counts.
func verdictOf(ended []procscan.Ended, left []procscan.ID) Verdict {
	found, killed, alive := map[int]bool{}, map[int]bool{}, map[int]bool{}
	var problems []string
	for _, e := range ended {
		found[e.ID.PID] = true
		alive[e.ID.PID] = e.Alive
		killed[e.ID.PID] = !e.Alive && e.Signal != ""
		if e.Err != nil {
			problems = append(problems, fmt.Sprintf("PID %d: %v", e.ID.PID, e.Err))
		}
	}
	for _, id := range left {
		found[id.PID], alive[id.PID] = true, true
	}
	return Verdict{Found: pids(found), Killed: pids(killed), Survivors: pids(alive), Errors: problems}
}

// pids lists those that hold, in order; never nil, for JSON.
func pids(holds map[int]bool) []int {
	list := []int{}
	for pid, yes := range holds {
		if yes {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}
