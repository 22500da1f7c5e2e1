package pool

import (
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What reaches a worker's goroutine. Each carries the incarnation it speaks
// of, except for requests, which speak of the slot.
type (
	stopRequest struct {
		grace time.Duration     // from TERM to KILL
		force bool              // KILL at once
		rest  chan<- StopResult // not nil: the slot stays, and hears of the end here
	}
	restartRequest struct {
		incarnation    uint64        // the process that is meant; 0: whichever it is
		grace          time.Duration // from TERM to KILL
		force          bool          // KILL at once
		releaseTimeout time.Duration
		cause          string           // of the Event that begins the restart
		result         chan<- Restarted // buffered
	}
	turnCame struct { // the worker may launch now
		incarnation uint64
		turn        pass
	}
	becameReady struct {
		incarnation uint64
		client      Client
		health      Health
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
	healthTold struct {
		incarnation uint64
		asked       time.Time
		last        bool
		health      Health // set when it answers
		err         error  // nil: it answers
		rss         uint64
	}
	recycleDue struct {
		incarnation uint64
		cause       string
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
	healthTimer  timerKind = "health"
	ttlTimer     timerKind = "ttl"
)
