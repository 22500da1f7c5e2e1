package pool

import (
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Status is a copy of what a worker's owner knows; nothing is probed for it.
type Status struct {
	Worker, Pool string
	State        State
	Process      procscan.ID // zero while the slot has no process
	StartedAt    time.Time   // of the process
	StartedBy    StartMethod // "" without a process
	Host         string
	Port         int
	Incarnation  uint64
	Restarts     int
	LastExit     string // of the process before, or of the one that ended last
	Message      string // what a person should know; empty when all is well
	Failure      *Failure
	Health       Health // zero before the process has answered, and without one
	Calls        Calls
}

// Health is the last health RPC that a process has answered as it should.
type Health struct {
	At   time.Time     // of the answer
	Took time.Duration // from the question to the answer
}

// Calls are those that a slot had, whichever processes were in it.
type Calls struct {
	Running int    // 1 while the process runs a call, also one that its caller has left
	Ended   uint64 // well or not
	Failed  uint64 // of these: for the tool, the caller or the worker
}

// StopResult is how a worker's stop went.
type StopResult struct {
	Worker    string
	PID       int    // 0 when it had no process
	Exit      string // "exit 0", "SIGKILL", "no process", "not ended"
	Signal    string // the strongest signal sent: "", "TERM", "KILL"
	Took      time.Duration
	Survivors []Survivor
	Outlived  []procscan.Ended // who was there after the process, and was ended
	Err       string           // what went wrong; empty when nothing did
}
