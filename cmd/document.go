package cmd

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
)

// The JSON documents that list and start print (schema_version 1).

type listDocument struct {
	SchemaVersion int          `json:"schema_version"`
	Runs          []*runStatus `json:"runs"`
}

type runStatus struct {
	RunID      string        `json:"run_id"`
	State      string        `json:"state"`
	Supervisor processStatus `json:"supervisor"`
	Guard      *guardStatus  `json:"guard"` // null while there is none
	Pools      []*poolStatus `json:"pools"`
	Message    string        `json:"message,omitempty"` // why it could not be asked

	askedAt time.Time // when it answered; zero when it did not
}

type processStatus struct {
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
}

type guardStatus struct {
	PID int `json:"pid"`
}

type poolStatus struct {
	Name    string          `json:"name"`
	Desired int             `json:"desired"`
	Ready   int             `json:"ready"`
	Workers []*workerStatus `json:"workers"`
}

type workerStatus struct {
	ID            string  `json:"id"`
	State         string  `json:"state"`
	PID           int     `json:"pid"` // 0 while the slot has no process
	Port          int     `json:"port"`
	Incarnation   uint64  `json:"incarnation"`
	Restarts      int     `json:"restarts"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	RSSBytes      uint64  `json:"rss_bytes"`
	CPUPercent    float64 `json:"cpu_percent"` // of one core, over the life of the process
	LastExit      string  `json:"last_exit"`
	Message       string  `json:"message"`
	StartMethod   string  `json:"start_method"` // of the process: spawn, fork or standby

	Health *healthStatus `json:"health"` // null before the process has answered
	Calls  callsStatus   `json:"calls"`

	host       string
	startedAt  time.Time
	cpuSeconds float64
}

// healthStatus is the last health RPC that the process answered as it should.
type healthStatus struct {
	At     time.Time `json:"at"`
	TookMS float64   `json:"took_ms"`
}

// callsStatus counts the calls of a slot, whichever processes were in it.
type callsStatus struct {
	Running int    `json:"running"`
	Ended   uint64 `json:"ended"`
	Failed  uint64 `json:"failed"` // of those that ended
}

func statusOf(answer *controlpb.StatusResponse) *runStatus {
	run := &runStatus{
		RunID: answer.RunId, State: answer.State, Pools: []*poolStatus{},
		Supervisor: processStatus{PID: int(answer.Supervisor.GetPid())},
	}
	if at := answer.Supervisor.GetStartedAt(); at != nil {
		run.Supervisor.StartedAt = at.AsTime()
	}
	if answer.Guard != nil {
		run.Guard = &guardStatus{PID: int(answer.Guard.Pid)}
	}
	for _, p := range answer.Pools {
		pool := &poolStatus{Name: p.Name, Desired: int(p.Desired), Ready: int(p.Ready), Workers: []*workerStatus{}}
		for _, w := range p.Workers {
			pool.Workers = append(pool.Workers, workerStatusOf(w))
		}
		run.Pools = append(run.Pools, pool)
	}
	return run
}

func workerStatusOf(w *controlpb.Worker) *workerStatus {
	out := &workerStatus{
		ID: w.Id, State: w.State, PID: int(w.Pid), Port: int(w.Port), Incarnation: w.Incarnation,
		Restarts: int(w.Restarts), RSSBytes: w.RssBytes, LastExit: w.LastExit, Message: w.Message, StartMethod: w.StartMethod,
		Calls: callsStatus{int(w.Calls.GetRunning()), w.Calls.GetEnded(), w.Calls.GetFailed()},
		host:  w.Host, cpuSeconds: w.CpuSeconds,
	}
	if w.Health != nil { // a supervisor of an earlier version says nothing of it
		out.Health = &healthStatus{w.Health.At.AsTime(), millis(w.Health.Took.AsDuration())}
	}
	if w.StartedAt != nil {
		out.startedAt = w.StartedAt.AsTime()
	}
	return out
}

// measure fills in what depends on the time of looking.
func (run *runStatus) measure(now time.Time) {
	for _, p := range run.Pools {
		for _, w := range p.Workers {
			if w.startedAt.IsZero() {
				continue
			}
			w.UptimeSeconds = max(0, now.Sub(w.startedAt).Seconds())
			if w.UptimeSeconds > 0 {
				w.CPUPercent = percent(w.cpuSeconds, w.UptimeSeconds)
			}
		}
	}
}

// percent is part of whole, to a tenth of a percent.
func percent(part, whole float64) float64 { return math.Round(1000*part/whole) / 10 }

func printJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}
