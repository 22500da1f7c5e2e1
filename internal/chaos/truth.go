package chaos

import (
	"context"
	"fmt"
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
		s.check(Check{Name: "record", Detail: fmt.Sprintf("it does not say how the run ended (%v)", err)})
		return
	}
	end := *record.End
	wrong := r.wrongAbout(end, want, hurt)
	c := Check{Name: "record", Passed: len(wrong) == 0, Detail: fmt.Sprintf("%s: %d could not end by themselves, %d found, %d killed, %d survivors", end.How, len(hurt), len(end.Found), len(end.Killed), len(end.Survivors))}
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
	ever := pidsOf(r.everSeen())
	for _, e := range r.readEvents() { // who came and went between two looks of ours
		ever = append(ever, e.PID)
	}
	say(end.How != want.how, "it ended as %q, and not as %q", end.How, want.how)
	say(len(end.Survivors) > 0, "it names survivors: %v", end.Survivors)
	say(want.nobody && len(end.Found) > 0, "it names %v, and there was nothing to find", end.Found)
	say(!contains(end.Found, hurt), "it has found %v, and PID %v had to be found", end.Found, hurt)
	say(!contains(end.Killed, hurt), "it has killed %v, and PID %v had to be killed", end.Killed, hurt)
	say(!contains(ever, end.Found), "it names %v, and the run had only %v", end.Found, ever)
	say(!contains(end.Found, end.Killed), "it has killed %v, and found only %v", end.Killed, end.Found)
	say(r.guarded() && end.Confirmed != (len(end.Found) == 0), "confirmed is %v with %d found", end.Confirmed, len(end.Found))
	return wrong
}

// checkTold holds the events against the record.
func (s *stage) checkTold(r *run, end endFile) {
	if !r.guarded() {
		return // nobody has a verdict to tell
	}
	var told eventLine
	killed := 0
	for _, e := range r.readEvents() {
		switch e.Event {
		case "cleanup_success", "cleanup_unconfirmed", "orphaned_processes_found":
			told, killed = e, 0
		case "emergency_cleanup":
			killed = len(e.PIDs)
		}
	}
	said := 0
	if told.Count != nil {
		said = *told.Count
	}
	fine := told.Event == "cleanup_success" && len(end.Found) == 0
	if len(end.Found) > 0 {
		fine = told.Event == "orphaned_processes_found" && slices.Equal(sorted(told.PIDs), sorted(end.Found)) && killed == len(end.Killed)
	}
	s.check(Check{Name: "events", Passed: fine && said == len(end.Found), Detail: fmt.Sprintf("%s with a count of %d, record %d; killed %d, record %d", told.Event, said, len(end.Found), killed, len(end.Killed))})
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

func sorted(numbers []int) []int { return slices.Sorted(slices.Values(numbers)) }
