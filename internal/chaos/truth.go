package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// What a run says of its end, against what was done to it.

// ending is what the record has to say.
type ending struct {
	how string // "stopped", "supervisor_died"
	// nobody: nothing was found. Otherwise those that were hurt must be among those
	// found and killed, and everybody found must have been of the run.
	nobody bool
}

func (want ending) told(_ context.Context, s *stage) error {
	hurt := pidsOf(s.hurt)
	if want.nobody {
		hurt = nil
	}
	s.checkEnd(s.first(), want, hurt)
	return nil
}

// checkEnd holds record and events of a run against what was injected.
func (s *stage) checkEnd(r *run, want ending, hurt []int) {
	record, err := r.readRecord()
	if err != nil || record.End == nil {
		s.check(Check{Name: checkRecord, Detail: fmt.Sprintf("it does not say how the run ended (%v)", err)})
		return
	}
	end := *record.End
	wrong := r.wrongAbout(end, want, hurt)
	c := Check{Name: checkRecord, Passed: len(wrong) == 0, Detail: fmt.Sprintf("%s: %d could not end by themselves, %d found, %d killed, %d survivors", end.How, len(hurt), len(end.Found), len(end.Killed), len(end.Survivors))}
	if !c.Passed {
		c.Detail += ": " + strings.Join(wrong, "; ")
	}
	s.check(c)
	s.checkTold(r, end)
}

// wrongAbout says what in the record is not true.
func (r *run) wrongAbout(end endFile, want ending, hurt []int) (wrong []string) {
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	own, ever := r.owners(), pidsOf(r.everSeen())
	for _, e := range r.readEvents() { // who came and went between two looks of ours
		ever = append(ever, e.PID)
	}
	owner := func(pid int) bool { return own[pid] }
	unseen := r.unseen()
	for _, pid := range end.Found {
		if unseen.has(pid) {
			ever = append(ever, pid)
		}
	}
	ever = slices.DeleteFunc(ever, owner)
	say(end.How != want.how, "it ended as %q, and not as %q", end.How, want.how)
	say(len(end.Survivors) > 0, "it names survivors: %v", end.Survivors)
	say(want.nobody && len(end.Found) > 0, "it names %v, and there was nothing to find", end.Found)
	say(!contains(end.Found, hurt), "it has found %v, and PID %v had to be found", end.Found, hurt)
	say(!contains(end.Killed, hurt), "it has killed %v, and PID %v had to be killed", end.Killed, hurt)
	say(slices.ContainsFunc(slices.Concat(end.Found, end.Killed), owner), "it has found %v and killed %v, and the run's own supervisor or guard is among them", end.Found, end.Killed)
	say(!contains(ever, end.Found), "it names %v, and the run had only %v", end.Found, ever)
	say(!contains(end.Found, end.Killed), "it has killed %v, and found only %v", end.Killed, end.Found)
	say(twice(end.Found) || twice(end.Killed), "it names somebody twice: found %v, killed %v", end.Found, end.Killed)
	say(r.guarded() && end.Confirmed != (len(end.Found) == 0), "confirmed is %v with %d found", end.Confirmed, len(end.Found))
	return wrong
}

// owners are the PIDs of the program's own processes, whom no cleanup ends.
func (r *run) owners() map[int]bool {
	own := map[int]bool{}
	for _, p := range r.seen {
		if p.role() != "" {
			own[p.pid] = true
		}
	}
	for _, e := range r.readEvents() {
		switch e.Event {
		case "run_starting", "run_ready", "guard_started":
			own[e.PID] = true
		}
	}
	return own
}

// checkTold holds the events against the record.
func (s *stage) checkTold(r *run, end endFile) {
	if !r.guarded() {
		return // nobody has a verdict to tell
	}
	said, wrong := told(r.readEvents(), end)
	c := Check{Name: checkEvents, Passed: len(wrong) == 0, Detail: said}
	if !c.Passed {
		c.Detail = strings.Join(wrong, "; ")
	}
	s.check(c)
}

// told holds what the events say of a look against what the record does: one
// verdict, and if somebody was found, one word on who was killed, each with the
// same PIDs and their count.
func told(events []eventLine, end endFile) (said string, wrong []string) {
	verdicts, kills := lookEvents(events)
	verdict, wanted := "cleanup_success", 0
	if len(end.Found) > 0 {
		verdict, wanted = "orphaned_processes_found", 1
	}
	if len(verdicts) != 1 || verdicts[0].Event != verdict {
		wrong = append(wrong, fmt.Sprintf("the verdicts told are %v, wanted one %s", namesOf(verdicts), verdict))
	}
	if len(kills) != wanted {
		wrong = append(wrong, fmt.Sprintf("emergency_cleanup is told %d times, wanted %d", len(kills), wanted))
	}
	for _, e := range verdicts {
		wrong = append(wrong, e.differs(end.Found)...)
	}
	for _, e := range kills {
		wrong = append(wrong, e.differs(end.Killed)...)
	}
	return fmt.Sprintf("%s with a count of %d, killed %d; the record has the same PIDs", verdict, len(end.Found), len(end.Killed)), wrong
}

// lookEvents are the events of those who have looked for leftovers of this run. A
// start tells of what other, dead runs have left.
func lookEvents(events []eventLine) (verdicts, kills []eventLine) {
	for _, e := range events {
		switch e.Event {
		case "cleanup_success", "cleanup_unconfirmed", "orphaned_processes_found":
			if e.Source != "start" {
				verdicts = append(verdicts, e)
			}
		case "emergency_cleanup":
			if e.Source != "start" {
				kills = append(kills, e)
			}
		}
	}
	return verdicts, kills
}

// differs says where an event is not about these PIDs, and as many.
func (e eventLine) differs(pids []int) (wrong []string) {
	if e.Count == nil || *e.Count != len(pids) {
		wrong = append(wrong, fmt.Sprintf("%s with a count of %s, record %d", e.Event, number(e.Count), len(pids)))
	}
	if !slices.Equal(sorted(e.PIDs), sorted(pids)) {
		wrong = append(wrong, fmt.Sprintf("%s names PID %v, the record %v", e.Event, e.PIDs, pids))
	}
	return wrong
}

func number(n *int) string {
	if n == nil {
		return "nothing"
	}
	return fmt.Sprint(*n)
}

func namesOf(events []eventLine) []string {
	names := make([]string, len(events))
	for i, e := range events {
		names[i] = e.Event
	}
	return names
}

// nothingClaimed is for a run whose supervisor and guard were killed in the same
// instant: nobody has seen its end, so nobody may have written one down, or told of
// a look. Registry and socket are left to the next start.
func nothingClaimed(_ context.Context, s *stage) error {
	s.checkUnclaimed(s.first())
	s.checkRemains(s.first())
	return nil
}

// checkUnclaimed holds that nobody has written down an end, or told of a look.
func (s *stage) checkUnclaimed(r *run) {
	record, err := r.readRecord()
	c := Check{Name: checkRecord, Passed: err == nil && record.End == nil, Detail: fmt.Sprintf("state %q, end %v; nobody was there to see it", record.State, record.End)}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Passed, c.Detail = true, "there was none yet; nobody was there to see its end"
	case err != nil:
		c.Detail = err.Error()
	}
	s.check(c)
	verdicts, kills := lookEvents(r.readEvents())
	said := namesOf(append(verdicts, kills...))
	s.check(Check{Name: checkEvents, Passed: len(said) == 0, Detail: fmt.Sprintf("%s told of a look, and nobody was there to look", count(len(said), "event has", "events have"))})
}

// endOfStart is for a run whose supervisor was killed while it started. How far it
// had come decides who can have seen that.
func endOfStart(_ context.Context, s *stage) error {
	r := s.first()
	record, err := r.readRecord()
	owner := record.Supervisor.PID
	switch {
	case err == nil && owner != 0 && owner != r.supervisor.pid: // the directory had not been taken yet
		s.check(Check{Name: checkRecord, Passed: record.End != nil, Detail: fmt.Sprintf("it is still that of the run before, PID %d", owner)})
		if record.End != nil {
			s.checkTold(r, *record.End)
		}
		s.checkDisk(r)
	case record.End == nil && !r.hadGuard(): // none was there yet, or is wanted
		s.checkUnclaimed(r)
		s.checkRemains(r)
	default:
		s.checkEnd(r, ending{how: "supervisor_died"}, nil)
		s.checkDisk(r)
	}
	return nil
}

func (r *run) hadGuard() bool {
	return slices.ContainsFunc(r.readEvents(), func(e eventLine) bool { return e.Event == "guard_started" })
}

// nothingFalse is for a run that could not write down how it ended: the record is
// whole, and if it, or an event, has a word on the end, that is true.
func nothingFalse(_ context.Context, s *stage) error {
	r := s.first()
	record, err := r.readRecord()
	c := Check{Name: checkRecord, Passed: err == nil, Detail: fmt.Sprintf("it is whole: %s; state %q", yesNo(err == nil), record.State)}
	if record.End != nil {
		wrong := r.wrongAbout(*record.End, ending{how: "stopped", nobody: true}, nil)
		c.Passed, c.Detail = c.Passed && len(wrong) == 0, c.Detail+"; "+strings.Join(wrong, "; ")
	}
	s.check(c)
	if r.guarded() {
		verdicts, kills := lookEvents(r.readEvents())
		said := namesOf(append(verdicts, kills...))
		fine := len(said) == 0 || slices.Equal(said, []string{"cleanup_success"})
		s.check(Check{Name: checkEvents, Passed: fine, Detail: fmt.Sprintf("%v told of a look; there was nothing to find, and maybe no room to say so", said)})
	}
	s.checkRemains(r)
	return nil
}

func (r *run) everSeen() []process {
	var all []process
	for _, p := range r.seen {
		all = append(all, p)
	}
	return all
}

func contains(all, some []int) bool {
	return !slices.ContainsFunc(some, func(n int) bool { return !slices.Contains(all, n) })
}

func twice(numbers []int) bool { return len(slices.Compact(sorted(numbers))) != len(numbers) }

func sorted(numbers []int) []int { return slices.Sorted(slices.Values(numbers)) }
