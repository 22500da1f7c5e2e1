package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// The names of events.
const (
	RunStarting        = "run_starting"
	RunReady           = "run_ready"
	RunStopping        = "run_stopping"
	RunEnded           = "run_ended"
	WorkerState        = "worker_state"
	GuardStarted       = "guard_started"
	GuardDied          = "guard_died"
	CleanupSuccess     = "cleanup_success"          // looked, and found nothing
	CleanupUnconfirmed = "cleanup_unconfirmed"      // found nothing, but could not see everything
	OrphansFound       = "orphaned_processes_found" // count: how many
	EmergencyKill      = "emergency_cleanup"        // count: how many were killed
)

// Record is one line of a run's events.jsonl.
type Record struct {
	Time        time.Time `json:"time"` // UTC
	RunID       string    `json:"run_id"`
	Event       string    `json:"event"`
	Pool        string    `json:"pool,omitempty"`
	Worker      string    `json:"worker,omitempty"`
	From        string    `json:"from,omitempty"`
	To          string    `json:"to,omitempty"`
	Incarnation uint64    `json:"incarnation,omitempty"`
	PID         int       `json:"pid,omitempty"`
	Port        int       `json:"port,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Exit        string    `json:"exit,omitempty"`  // what the end of a process means: a pool.ExitKind
	Cause       string    `json:"cause,omitempty"` // of a restart, in one of few words
	Count       *int      `json:"count,omitempty"`
	PIDs        []int     `json:"pids,omitempty"`
	Source      string    `json:"source,omitempty"` // of a finding: who has looked
}

// Sink is told of every event. It is called by whoever emits, possibly by many
// goroutines, and must not block.
type Sink interface {
	Receive(Record)
}

// Log is the one stream of a run's events. It writes them as JSON lines to a
// file and to a slog logger, and passes them on to its sinks. It is safe for
// many goroutines.
type Log struct {
	runID  string
	logged Sink
	sinks  []Sink

	mu     sync.Mutex // guards file and failed, and keeps lines whole
	file   *os.File
	failed error
}

// Open appends to the run's event file, which it makes with mode 0600. A nil
// logger is fine.
func Open(path, runID string, logger *slog.Logger, sinks ...Sink) (*Log, error) {
	file, err := rundir.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the event log: %w", err)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Log{runID: runID, logged: Logged(logger), sinks: sinks, file: file}, nil
}

// Close returns the first error that any write met.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.failed, l.file.Close())
}

// Observe implements pool.Observer.
func (l *Log) Observe(e pool.Event) {
	l.Emit(Record{
		Time: e.Time, Event: WorkerState, Pool: e.Pool, Worker: e.Worker, From: string(e.From), To: string(e.To),
		Incarnation: e.Incarnation, PID: e.PID, Port: e.Port, Reason: e.Reason, Exit: string(e.Exit), Cause: e.Cause,
	})
}

// Emit writes one event; time and run id are filled in.
func (l *Log) Emit(r Record) {
	r = l.complete(r)
	line, err := json.Marshal(r)
	l.mu.Lock()
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil && l.failed == nil {
		l.failed = fmt.Errorf("cannot write to the event log: %w", err)
	}
	l.mu.Unlock()
	l.logged.Receive(r)
	l.pass(r)
}

// Relay tells the sinks of an event that another process has written to the file
// and to the log.
func (l *Log) Relay(r Record) { l.pass(l.complete(r)) }

func (l *Log) complete(r Record) Record {
	r.RunID = l.runID
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	r.Time = r.Time.UTC()
	return r
}

func (l *Log) pass(r Record) {
	for _, sink := range l.sinks {
		sink.Receive(r)
	}
}
