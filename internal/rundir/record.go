package rundir

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// SchemaVersion is the version of run.json and workers.json.
const SchemaVersion = 1

// States of a run, as the supervisor last wrote them. A run in any other state
// than ended whose lock is free has lost its supervisor.
const (
	StateStarting = "starting"
	StateRunning  = "running"
	StateStopping = "stopping"
	StateEnded    = "ended"
)

// How a run ended.
const (
	EndStopped        = "stopped"
	EndStartFailed    = "start_failed"
	EndSupervisorDied = "supervisor_died"
)

// Process is the identity of a process: a PID alone can be another one's by now.
type Process struct {
	PID int `json:"pid"`
	// Start is the kernel's start time, in the unit of whoever wrote it down
	// (clock ticks since boot on Linux: field 22 of proc_pid_stat(5)).
	Start uint64 `json:"start"`
	// Boot is the kernel's boot id, without which Start means nothing.
	Boot      string    `json:"boot"`
	StartedAt time.Time `json:"started_at"`
}

// Record is the contents of run.json.
type Record struct {
	SchemaVersion int             `json:"schema_version"`
	RunID         string          `json:"run_id"`
	Key           string          `json:"key"`         // random; tells runs of the same name apart
	Version       string          `json:"version"`     // of snakepit
	ControlAPI    int             `json:"control_api"` // version of the control protocol
	Supervisor    Process         `json:"supervisor"`
	Guard         *Process        `json:"guard,omitempty"`
	Socket        string          `json:"socket"`
	Metrics       string          `json:"metrics,omitempty"` // the address that serves them, as host:port
	State         string          `json:"state"`
	Config        json.RawMessage `json:"config,omitempty"`
	End           *End            `json:"end,omitempty"`
}

// End says how a run ended. The lists hold PIDs.
type End struct {
	At        time.Time `json:"at"`
	How       string    `json:"how"`
	Reason    string    `json:"reason,omitempty"`
	Found     []int     `json:"found,omitempty"`     // what was alive when it should not have been
	Killed    []int     `json:"killed,omitempty"`    // of these, killed
	Cleanups  []Cleanup `json:"cleanups,omitempty"`  // by whom
	Survivors []int     `json:"survivors,omitempty"` // of these, still alive
	Confirmed bool      `json:"confirmed,omitempty"` // the guard has looked, too, and found nothing
	By        string    `json:"-"`                   // who tells Settle of it
}

// Cleanup is what one of those who look for leftovers has found and killed. Each
// process is with the first who found it, and with who killed it.
type Cleanup struct {
	By     string `json:"by"`
	Found  []int  `json:"found,omitempty"`
	Killed []int  `json:"killed,omitempty"`
}

// Add adds what somebody has found and killed.
func (e *End) Add(by string, found, killed []int) {
	c := Cleanup{By: by, Found: without(found, e.Found), Killed: without(killed, e.Killed)}
	if len(c.Found)+len(c.Killed) > 0 {
		e.Cleanups = append(e.Cleanups, c)
	}
	e.Found, e.Killed = append(e.Found, c.Found...), append(e.Killed, c.Killed...)
}

func without(pids, known []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return slices.Contains(known, pid) })
}

// WriteRecord replaces run.json. It fills in the schema version and the run id.
func (r *Run) WriteRecord(rec Record) error {
	rec.SchemaVersion, rec.RunID = SchemaVersion, r.id
	if err := replaceJSON(recordPath(r.dir), rec); err != nil {
		return fmt.Errorf("cannot write the record of run %s: %w", r.id, err)
	}
	return nil
}

func recordPath(dir string) string { return filepath.Join(dir, "run.json") }

func readRecord(dir string) (Record, error) {
	data, err := readLimited(recordPath(dir))
	if err != nil {
		return Record{}, err
	}
	return parseRecord(data, filepath.Base(dir))
}

// parseRecord accepts what it does not know, for files of later versions with
// the same schema, but nothing that would make a reader act on a wrong process.
func parseRecord(data []byte, runID string) (Record, error) {
	var rec Record
	if err := json.Unmarshal(data, &rec); err != nil {
		return Record{}, err
	}
	switch {
	case rec.SchemaVersion != SchemaVersion:
		return Record{}, fmt.Errorf("schema version %d is not known here, only %d is", rec.SchemaVersion, SchemaVersion)
	case rec.RunID != runID:
		return Record{}, fmt.Errorf("it belongs to run %q", rec.RunID)
	case !knownState(rec.State):
		return Record{}, fmt.Errorf("%q is not a state of a run", rec.State)
	case rec.Supervisor.PID < 0 || rec.Guard != nil && rec.Guard.PID < 0:
		return Record{}, fmt.Errorf("a PID is negative")
	}
	return rec, nil
}

func knownState(state string) bool {
	switch state {
	case StateStarting, StateRunning, StateStopping, StateEnded:
		return true
	}
	return false
}
