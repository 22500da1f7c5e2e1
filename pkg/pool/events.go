package pool

import (
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What reaches a worker's goroutine. Each carries the incarnation it speaks
// of, except for requests, which speak of the slot.
type (
	stopRequest struct {
		grace time.Duration // from TERM to KILL
		force bool          // KILL at once
	}
	turnCame    struct{ incarnation uint64 } // the worker may launch now
	becameReady struct {
		incarnation uint64
		client      Client
	}
	notReady struct {
		incarnation uint64
		err         error
	}
	exited   struct{ incarnation uint64 }
	released struct {
		incarnation uint64
		attempt     int
		output      []string         // the last lines of a process that failed
		outlived    []procscan.Ended // who was still there after the process
		err         error            // why the resources are not free
	}
	timerRang struct {
		incarnation uint64
		what        timerKind
	}
)

type timerKind string

const (
	readyTimer   timerKind = "ready"
	stacksTimer  timerKind = "stacks"
	silentTimer  timerKind = "silent"
	killTimer    timerKind = "kill"
	goneTimer    timerKind = "gone"
	backoffTimer timerKind = "backoff"
)
