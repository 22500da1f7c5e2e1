package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What a run writes down of itself.

func (s *supervisor) writeRecord() error {
	raw, err := json.Marshal(s.opts.Config)
	if err != nil {
		return fmt.Errorf("cannot write the record: %w", err)
	}
	d := s.Describe()
	s.record = rundir.Record{
		Key: s.key, Version: d.Version, ControlAPI: control.API, Socket: s.socket, State: d.State, Config: raw,
		Supervisor: recordOf(d.Supervisor), Metrics: s.metrics.address(),
	}
	if !d.Guard.IsZero() {
		guard := recordOf(d.Guard)
		s.record.Guard = &guard
	}
	return s.dir.WriteRecord(s.record)
}

// recordRefusal writes why a run ended before it had a record: a directory
// without one is taken for damaged.
func (s *supervisor) recordRefusal(cause error) error {
	if cause == nil || s.record.Supervisor.PID != 0 {
		return cause
	}
	var left *LeftoversError
	var taken *NameTakenError
	if (errors.As(cause, &left) || errors.As(cause, &taken)) && s.dir.Previous() != nil {
		return errors.Join(cause, s.restore(*s.dir.Previous()))
	}
	end := &rundir.End{At: time.Now().UTC(), How: rundir.EndStartFailed, Reason: cause.Error()}
	if left != nil {
		end.Survivors = left.PIDs
	}
	record := rundir.Record{Version: s.opts.Version, ControlAPI: control.API, Supervisor: recordOf(s.self), State: rundir.StateEnded, End: end}
	return errors.Join(cause, s.dir.WriteRecord(record))
}

// restore puts back what says whose the leftovers of an earlier run are: who
// cleans up judges by it.
func (s *supervisor) restore(record rundir.Record) error {
	registry, err := s.dir.OpenRegistry()
	if err != nil {
		return err
	}
	for _, entry := range s.dir.Leftover() {
		err = errors.Join(err, registry.Put(entry))
	}
	return errors.Join(err, registry.Close(), s.dir.WriteRecord(record))
}

func recordOf(id procscan.ID) rundir.Process {
	p := rundir.Process{PID: id.PID, Start: id.Start, Boot: id.Boot}
	if at, err := procscan.StartedAt(id); err == nil {
		p.StartedAt = at
	}
	return p
}
