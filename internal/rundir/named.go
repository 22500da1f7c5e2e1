package rundir

import (
	"errors"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// ID is the identity that was written down.
func (p Process) ID() procscan.ID { return procscan.ID{PID: p.PID, Start: p.Start, Boot: p.Boot} }

// ID is the identity that was written down; PID 0 before the launch.
func (e Entry) ID() procscan.ID { return procscan.ID{PID: e.PID, Start: e.Start, Boot: e.Boot} }

// Others are the processes that the files of runs name as something else than a
// worker of this run, and what: supervisors, guards, and the workers of other
// runs. A registry that cannot be read names nobody, and is an error beside the
// others.
func Others(runs []Found, runID string) (map[procscan.ID]string, error) {
	others := map[procscan.ID]string{}
	var broken error
	for _, run := range runs {
		if run.RunID != runID {
			entries, err := ReadRegistry(run.Dir)
			broken = errors.Join(broken, err)
			for _, e := range entries {
				if e.PID != 0 {
					others[e.ID()] = "the worker " + e.Worker + " of run " + run.RunID
				}
			}
		}
		if run.Record == nil {
			continue
		}
		if run.Record.Guard != nil {
			others[run.Record.Guard.ID()] = "the guard of run " + run.RunID
		}
		if run.Record.Supervisor.PID != 0 {
			others[run.Record.Supervisor.ID()] = "the supervisor of run " + run.RunID
		}
	}
	return others, broken
}
