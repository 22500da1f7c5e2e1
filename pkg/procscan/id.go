package procscan

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// ErrGone says that the process named does not exist any more. A zombie is
// gone too: it can do nothing and keeps no more than its number.
var ErrGone = errors.New("no such process")

// ErrOtherNamespace says that /proc shows other processes than those that the
// system calls of this one mean, as within nsenter --mount or unshare --pid.
var ErrOtherNamespace = errors.New("/proc belongs to another PID namespace; mount a proc of your own")

// ID names one process for as long as the machine runs. A PID alone does not:
// the kernel gives it to another process later.
type ID struct {
	PID int `json:"pid"`
	// Start is when the kernel started it: clock ticks since boot on Linux (100
	// a second, field 22 of proc_pid_stat(5)), milliseconds since 1970 on darwin.
	Start uint64 `json:"start"`
	// Boot names the boot of the machine, since ticks count anew from each.
	Boot string `json:"boot"`
}

// IsZero says that the ID names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// possible says that the number can be a PID. The system calls take 32 bits and
// would act on another process for a larger one, out of a corrupt file, say.
func possible(pid int) bool { return pid > 0 && pid <= math.MaxInt32 }

// thisBoot is read once: it cannot change while this process lives.
var thisBoot = sync.OnceValues(readBoot)

// Lookup returns the identity of the process that has the PID now. The error
// is ErrGone when there is none, or only a zombie.
func Lookup(pid int) (ID, error) {
	boot, err := thisBoot()
	if err != nil {
		return ID{}, fmt.Errorf("cannot look up process %d: %w", pid, err)
	}
	st, err := readStat(pid)
	if err != nil {
		return ID{}, fmt.Errorf("cannot look up process %d: %w", pid, err)
	}
	if st.state.IsDead() {
		return ID{}, ErrGone
	}
	return ID{PID: pid, Start: st.start, Boot: boot}, nil
}

// Alive says whether this very process still runs. A zombie does not, nor does
// a process of an earlier boot.
func (id ID) Alive() (bool, error) {
	now, err := Lookup(id.PID)
	if errors.Is(err, ErrGone) {
		return false, nil
	}
	return err == nil && now == id, err
}

// StartedAt is the time at which the process was started, to about 10 ms. It
// needs no living process, only one of this boot. On Linux the result carries
// a monotonic reading, so that comparing it with other times of this process
// is not disturbed when somebody sets the clock.
func StartedAt(id ID) (time.Time, error) {
	boot, err := thisBoot()
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot tell when process %d was started: %w", id.PID, err)
	}
	if id.Boot != boot {
		return time.Time{}, fmt.Errorf("cannot tell when process %d was started: it belongs to another boot of this machine", id.PID)
	}
	at, err := startTime(id.Start)
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot tell when process %d was started: %w", id.PID, err)
	}
	return at, nil
}

// Usage is what the process uses: resident memory in bytes, and processor time
// since its start in seconds, both as ps(1) shows them. On Linux it costs the
// reading of one file.
func Usage(id ID) (rssBytes uint64, cpuSeconds float64, err error) {
	boot, err := thisBoot()
	if err != nil {
		return 0, 0, fmt.Errorf("cannot measure process %d: %w", id.PID, err)
	}
	use, err := readUsage(id.PID)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot measure process %d: %w", id.PID, err)
	}
	if use.stat.state.IsDead() || boot != id.Boot || use.stat.start != id.Start {
		return 0, 0, fmt.Errorf("cannot measure process %d: %w", id.PID, ErrGone)
	}
	return use.rssBytes, use.cpuSeconds, nil
}

// usage is a measurement and the stat that says whose it is.
type usage struct {
	stat       stat
	rssBytes   uint64
	cpuSeconds float64
}
