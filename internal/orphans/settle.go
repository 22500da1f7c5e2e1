package orphans

import (
	"cmp"
	"errors"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// settle writes what was done into the event log and the record of the dead
// run, and removes what it has left on disk. The lock is ours. A run that
// somebody has settled before, and that has left nobody, is not touched.
func (k *killer) settle(dir *rundir.Run) error {
	now, err := rundir.Open(k.opts.Runs, k.runID)
	if err == nil && now.Settled() && len(k.met) == 0 && len(k.result.Survivors) == 0 {
		return nil
	}
	var killed []int
	for _, e := range k.result.Killed {
		killed = append(killed, e.PID)
	}
	source := cmp.Or(k.opts.Source, telemetry.SourceKillOrphans)
	events, err := telemetry.Open(dir.EventsPath(), k.runID, nil)
	if err == nil {
		emit(events, source, k.met, killed)
		err = events.Close()
	}
	return errors.Join(err, dir.Settle(rundir.End{At: time.Now(), By: source, Found: k.met, Killed: killed, Survivors: k.result.Survivors}))
}

func emit(events *telemetry.Log, source string, found, killed []int) {
	nFound, nKilled := len(found), len(killed)
	if nFound == 0 {
		events.Emit(telemetry.Record{Event: telemetry.CleanupSuccess, Source: source, Count: &nFound, Reason: source + ": no orphaned processes"})
		return
	}
	events.Emit(telemetry.Record{Event: telemetry.OrphansFound, Source: source, Count: &nFound, PIDs: found, Reason: source + ": the supervisor died"})
	events.Emit(telemetry.Record{Event: telemetry.EmergencyKill, Source: source, Count: &nKilled, PIDs: killed, Reason: source})
}
