package telemetry

import "strings"

// Who looks for leftovers of a run.
const (
	SourceGuard       = "guard"        // of the run, when its supervisor has stopped it or died
	SourceKillOrphans = "kill-orphans" // whoever called that
	SourceStart       = "start"        // the start of another run
)

func sources() []string { return []string{SourceGuard, SourceKillOrphans, SourceStart} }

// Findings is what a look for leftovers of a run came to, in PIDs.
type Findings struct {
	RunID                    string
	Source                   string
	Confirmed                bool // somebody looked, could see everything, and found nothing
	Found, Killed, Survivors []int
	Errors                   []string // why not everything could be seen or ended
}

// Events are the events that tell of it: success, or what was found and how
// many of these were killed. The reason says why there was something to find.
func (f Findings) Events(reason string) []Record {
	if f.Confirmed {
		none := 0
		return []Record{{Event: CleanupSuccess, Source: f.Source, Count: &none, Reason: "no orphaned processes"}}
	}
	if len(f.Errors) > 0 {
		reason += "; " + strings.Join(f.Errors, "; ")
	}
	if len(f.Found) == 0 {
		return []Record{{Event: CleanupUnconfirmed, Source: f.Source, Reason: reason}}
	}
	found, killed := len(f.Found), len(f.Killed)
	return []Record{
		{Event: OrphansFound, Source: f.Source, Count: &found, PIDs: f.Found, Reason: reason},
		{Event: EmergencyKill, Source: f.Source, Count: &killed, PIDs: f.Killed},
	}
}
