package orphans

import (
	"errors"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// settle writes what was done into the event log and the record of the dead
// run, and removes what it has left on disk. The lock is ours.
func (k *killer) settle(dir *rundir.Run) error {
	var killed []int
	for _, e := range k.result.Killed {
		killed = append(killed, e.PID)
	}
	events, err := telemetry.Open(dir.EventsPath(), k.runID, nil)
	if err == nil {
		emit(events, k.met, killed)
		err = events.Close()
	}
	return errors.Join(err, dir.Settle(rundir.End{At: time.Now(), Found: k.met, Killed: killed, Survivors: k.result.Survivors}))
}

func emit(events *telemetry.Log, found, killed []int) {
	nFound, nKilled := len(found), len(killed)
	if nFound == 0 {
		events.Emit(telemetry.Record{Event: telemetry.CleanupSuccess, Count: &nFound, Reason: "kill-orphans: no orphaned processes"})
		return
	}
	events.Emit(telemetry.Record{Event: telemetry.OrphansFound, Count: &nFound, PIDs: found, Reason: "kill-orphans: the supervisor died"})
	events.Emit(telemetry.Record{Event: telemetry.EmergencyKill, Count: &nKilled, PIDs: killed, Reason: "kill-orphans"})
}
