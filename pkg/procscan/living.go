package procscan

import "fmt"

// OfLiving says why a process that carries the marker of a dead run belongs to a
// living one all the same; it is empty when nothing speaks for that. Whoever is
// started from within a worker inherits the marker, a supervisor too, and what
// that starts. living names the supervisors, guards and workers of the other
// living runs ("the supervisor of run b"). The snapshot needs the ancestors of p.
func (s Snapshot) OfLiving(p Process, living map[ID]string) string {
	if what, named := living[p.ID]; named {
		return "it is " + what + ", which lives"
	}
	if len(living) == 0 || !p.Condemns {
		return ""
	}
	for _, a := range s.Ancestors(p.PID) {
		if !a.Condemns || a.RunID != p.RunID || a.Start > p.Start {
			return "" // from here up, nobody has inherited this marker
		}
		if what, named := living[a.ID]; named {
			return fmt.Sprintf("it descends from PID %d, %s, which lives", a.PID, what)
		}
	}
	return ""
}
