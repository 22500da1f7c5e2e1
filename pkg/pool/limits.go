package pool

import (
	"errors"
	"fmt"
	"strings"
)

// Whether the system allows so many workers at all. It is looked at before anything is
// started: a limit that is met in the middle shows as a worker that fails, somewhere.

// Demand is how many workers there are to be in this process.
type Demand struct {
	Workers int // of the worker package
	Foreign int // other programs
}

func (d Demand) all() int { return d.Workers + d.Foreign }

// LimitError is a limit that the workers would not fit in.
type LimitError struct {
	Workers int
	More    bool   // they are to be added to others
	Own     bool   // it is the limit of the process that keeps them
	What    string // is limited, in words
	Need    uint64 // what the workers take
	Used    uint64 // by others, of the same limit
	Allowed uint64
	Fit     int    // how many workers there is room for
	Raise   string // how the limit is raised, to Need and Used
}

func (e *LimitError) Error() string {
	used := ""
	if e.Used > 0 {
		used = fmt.Sprintf(", %d of them in use", e.Used)
	}
	verb := "keep"
	if e.More {
		verb = "add"
	}
	return fmt.Sprintf("cannot %s %d workers: they need %d %s, and %d are allowed%s", verb, e.Workers, e.Need, e.What, e.Allowed, used)
}

// limit is one of the system's. A worker of the worker package takes more threads than
// is known of a foreign one.
type limit struct {
	what                 string
	allowed, used, fixed uint64
	worker, foreign      uint64 // what each takes
	raise                string // with %d for the new limit
	own                  bool   // of this process alone
}

// What a worker takes, and what there is beside the workers.
const (
	// Of the supervisor's descriptors: the output, the log, the connection, two
	// handles of the process, and while it starts the ready channel.
	workerDescriptors = 6
	fixedDescriptors  = 64
	// gRPC's threads, on two CPUs; on more there are more.
	workerThreads = 10
	fixedThreads  = 32 // supervisor, guard, forkserver
)

// CheckLimits returns a *LimitError when this process, its user, its control group or
// the machine may not have what the workers take. What the system does not tell is no
// limit.
func CheckLimits(d Demand) error { return d.within(systemLimits(d)) }

// CheckMore is CheckLimits for workers that are added to so many. What these take is in
// use already, and the system counts it, but for the descriptors of this process.
func CheckMore(there int, d Demand) error {
	limits := systemLimits(d)
	for i := range limits {
		if limits[i].own {
			limits[i].used = workerDescriptors * uint64(there)
		}
	}
	err := d.within(limits)
	var short *LimitError
	if errors.As(err, &short) {
		short.More = true
	}
	return err
}

// Limit is one that the system sets, and what workers would take of it.
type Limit struct {
	What    string // is limited, in words
	Own     bool   // it is this process's alone
	Need    uint64 // what the workers take
	Used    uint64 // by others, of the same limit
	Allowed uint64
	Fit     int    // how many of the workers there is room for, if not for all
	Raise   string // how the limit is raised, to Need and Used
}

// Enough says that the workers fit in.
func (l Limit) Enough() bool { return l.Used+l.Need <= l.Allowed }

// Limits are those that the system tells of. None is asked for that cannot matter.
func Limits(d Demand) []Limit { return d.of(systemLimits(d)) }

func (d Demand) of(limits []limit) []Limit {
	all := make([]Limit, len(limits))
	for i, l := range limits {
		need := l.fixed + l.worker*uint64(d.Workers) + l.foreign*uint64(d.Foreign)
		all[i] = Limit{What: l.what, Own: l.own, Need: need, Used: l.used, Allowed: l.allowed}
		each := (need - l.fixed) / uint64(max(1, d.all()))
		if room := l.used + l.fixed; l.allowed > room && each > 0 {
			all[i].Fit = int((l.allowed - room) / each)
		}
		all[i].Raise = strings.ReplaceAll(l.raise, "%d", fmt.Sprint(l.used+need))
	}
	return all
}

// within is a *LimitError about the first limit that is not enough.
func (d Demand) within(limits []limit) error {
	for _, l := range d.of(limits) {
		if !l.Enough() {
			return &LimitError{Workers: d.all(), Own: l.Own, What: l.What, Need: l.Need, Used: l.Used, Allowed: l.Allowed, Fit: l.Fit, Raise: l.Raise}
		}
	}
	return nil
}
