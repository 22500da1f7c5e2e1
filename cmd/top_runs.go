package cmd

import (
	"slices"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

const (
	topHistory  = 60          // samples that are kept of each worker
	topEndedFor = time.Minute // how long a run that has ended is shown
)

// topRun is what is known of one life of a run.
type topRun struct {
	found  rundir.Found
	status *runStatus // its last answer, or why there was none yet
	silent string     // why the last question had no answer; "" when it had
	asking bool
	goneAt time.Time // when it was seen to have ended; zero while it lives
	cpu    cpuMeter
	past   map[string]*topPast // by worker
}

// topPast is what a worker did, at the looks so far.
type topPast struct {
	cpu, calls []float64 // percent of a core; calls in a second. The newest is the last
	rate       float64   // calls in a second, now
	ended      uint64    // calls, at the last look
	at         time.Time
}

// merge takes the runs there are. One that has ended is shown for a while, if it was
// seen alive; another life of the same name begins anew.
func (m *topModel) merge(found []rundir.Found) {
	for _, f := range found {
		known := m.run(f.RunID)
		switch {
		case known != nil && sameLife(known.found, f):
			known.found = f
		case f.Alive:
			m.runs = slices.DeleteFunc(m.runs, func(r *topRun) bool { return r == known })
			m.runs = append(m.runs, newTopRun(f))
		case known != nil: // a later life has come and gone between two looks
			known.found.Alive = false
		}
	}
	for _, run := range m.runs {
		if !slices.ContainsFunc(found, func(f rundir.Found) bool { return f.RunID == run.found.RunID }) {
			run.found.Alive = false
		}
		run.settle(m.now, m.zone)
	}
	m.runs = slices.DeleteFunc(m.runs, func(r *topRun) bool { return !r.goneAt.IsZero() && m.now.Sub(r.goneAt) > topEndedFor })
	slices.SortStableFunc(m.runs, func(a, b *topRun) int { return strings.Compare(a.found.RunID, b.found.RunID) })
	m.stayChosen()
}

// sameLife says that both are of one supervisor, as far as both know it.
func sameLife(a, b rundir.Found) bool {
	if a.Record == nil || b.Record == nil {
		return true
	}
	return a.Record.Supervisor.PID == b.Record.Supervisor.PID && a.Record.Supervisor.Start == b.Record.Supervisor.Start
}

func newTopRun(f rundir.Found) *topRun {
	run := &topRun{found: f, past: map[string]*topPast{}, status: &runStatus{RunID: f.RunID, State: stateUnknown, Message: "asked, no answer yet"}}
	if f.Record != nil {
		run.status.Supervisor = processStatus{PID: f.Record.Supervisor.PID, StartedAt: f.Record.Supervisor.StartedAt}
	}
	return run
}

// settle notices the end of a run.
func (r *topRun) settle(now time.Time, zone *time.Location) {
	if r.found.Alive {
		r.goneAt = time.Time{}
		return
	}
	if r.goneAt.IsZero() {
		r.goneAt = now
	}
	r.silent = ""
	r.status = &runStatus{
		RunID: r.found.RunID, State: stateEnded, Supervisor: r.status.Supervisor, Message: howEnded(r.found.Record, zone),
	}
}

// isOf says that an answer is of this life of the run, and not of one before it that
// took its time.
func (r *topRun) isOf(status *runStatus) bool {
	return r.found.Record == nil || status.Supervisor.PID == 0 || status.Supervisor.PID == r.found.Record.Supervisor.PID
}

// take is an answer, or that there was none: what was known before stays then.
func (r *topRun) take(status *runStatus) {
	switch {
	case !r.found.Alive: // it was asked while it lived
		return
	case status.askedAt.IsZero():
		r.silent = status.Message
		return
	}
	r.silent, r.status = "", status
	r.cpu.measure([]*runStatus{status})
	for _, p := range status.Pools {
		for _, w := range p.Workers {
			r.remember(w)
		}
	}
}

func (r *topRun) remember(w *workerStatus) {
	past := r.past[w.ID]
	if past == nil {
		past = &topPast{}
		r.past[w.ID] = past
	}
	past.rate = 0
	if passed := r.status.askedAt.Sub(past.at).Seconds(); !past.at.IsZero() && passed > 0 && w.Calls.Ended >= past.ended {
		past.rate = float64(w.Calls.Ended-past.ended) / passed
	}
	past.ended, past.at = w.Calls.Ended, r.status.askedAt
	past.cpu = lastSamples(past.cpu, w.CPUPercent)
	past.calls = lastSamples(past.calls, past.rate)
}

func lastSamples(samples []float64, next float64) []float64 {
	samples = append(samples, next)
	return samples[max(0, len(samples)-topHistory):]
}
