package pool

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What callers tell apart.
var (
	// ErrReadyTimeout: a worker was launched but did not become ready in time.
	ErrReadyTimeout = errors.New("not ready")
	// ErrStopping: the pool takes no new calls.
	ErrStopping = errors.New("the pool is stopping")
	// ErrStopped: a worker was told to stop while it was to be restarted.
	ErrStopped = errors.New("it was told to stop meanwhile")
	// ErrNoWorker: no worker of that id, or none that could ever take the call.
	ErrNoWorker = errors.New("no such worker")
	// ErrNoneReady: every worker of the pool has failed.
	ErrNoneReady = errors.New("no worker of the pool can take a call")
	// ErrWorkerDied: the worker ended while it ran the call.
	ErrWorkerDied = errors.New("the worker died during the call")
)

// NotReadyError is a worker's own word on why it cannot serve.
type NotReadyError struct {
	Kind    string // "adapter_not_found", "missing_package", "port_in_use", …
	Message string
	Hint    string
}

func (e *NotReadyError) Error() string { return e.Message }

// CleanupTimeoutError: a worker's process is gone, but its port did not come
// free in time. Its text begins with cleanup_timeout, for those who search logs.
type CleanupTimeoutError struct {
	Worker string
	Port   int
	After  time.Duration
	Holder string // for a person; "" when nobody is seen to hold it
	Err    error
}

func (e *CleanupTimeoutError) Error() string {
	why := "held by " + e.Holder
	if e.Holder == "" && e.Err != nil {
		why = e.Err.Error()
	}
	if e.After == 0 {
		return fmt.Sprintf("port %d of %s is not free any more: %s", e.Port, e.Worker, why)
	}
	return fmt.Sprintf("cleanup_timeout: port %d of %s is not free after %v: %s", e.Port, e.Worker, e.After, why)
}

func (e *CleanupTimeoutError) Unwrap() error { return e.Err }

// Failure is a worker that did not become ready, and why.
type Failure struct {
	Worker string
	Kind   string   // of NotReadyError, "ready_timeout", "cleanup_timeout", or "exit"
	Reason string   // for a person
	Hint   string   // what to do about it; may be empty
	Output []string // the last lines of its output
}

func (w *worker) newFailure(err error) *Failure {
	f := &Failure{Worker: w.id, Kind: "exit", Reason: err.Error()}
	var said *NotReadyError
	var held *CleanupTimeoutError
	var unserved *ForkserverError
	if errors.As(err, &unserved) {
		f.Output = unserved.Output
	}
	switch {
	case errors.As(err, &said):
		f.Kind, f.Hint = said.Kind, said.Hint
	case errors.Is(err, errHung):
		f.Kind = "hung"
	case errors.Is(err, ErrReadyTimeout):
		f.Kind = "ready_timeout"
	case errors.As(err, &held):
		f.Kind = "cleanup_timeout"
	}
	return f
}

// StartError is a pool that did not start, with every worker that failed.
type StartError struct {
	Pool     string
	Workers  int // how many the pool was to have
	Failures []Failure
}

func (e *StartError) Error() string {
	var workers []string
	for _, f := range e.Failures {
		workers = append(workers, f.Worker)
	}
	return fmt.Sprintf("cannot start pool %q: %s: %s", e.Pool, strings.Join(workers, ", "), e.Failures[0].Reason)
}

// PortTakenError: ports that a pool was told to use are held by others.
type PortTakenError struct {
	Pool  string
	Ports []TakenPort
}

// TakenPort is a port that cannot be bound, with its holder for a person.
type TakenPort struct {
	Port   int
	Holder string
	Err    error
}

func (e *PortTakenError) Error() string {
	var taken []string
	for _, p := range e.Ports {
		if p.Holder == "" {
			taken = append(taken, p.Err.Error())
			continue
		}
		taken = append(taken, fmt.Sprintf("port %d is held by %s", p.Port, p.Holder))
	}
	return fmt.Sprintf("cannot start pool %q: %s", e.Pool, strings.Join(taken, "; "))
}

func (e *PortTakenError) Unwrap() error { return e.Ports[0].Err }

// Survivor is what a stop could not end: a process, or a port that is held.
type Survivor struct {
	PID  int // 0 when only the port is known
	What string
}

func survivorsOf(ended []procscan.Ended, what string) []Survivor {
	var left []Survivor
	for _, e := range ended {
		if !e.Alive {
			continue
		}
		text := what
		if e.Err != nil {
			text += ": " + e.Err.Error()
		}
		left = append(left, Survivor{PID: e.ID.PID, What: text})
	}
	return left
}
