package supervisor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/guard"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// stopping is what the calls of Stop share.
type stopping struct {
	begin, look sync.Once
	patience    context.Context // ends when somebody is in a hurry
	hurry       context.CancelFunc
	deadline    time.Time     // of the grace time
	strays      chan struct{} // closed when the strays have had theirs
	over        chan struct{} // closed when the summary stands

	mu        sync.Mutex // guards the rest but the summary
	reported  map[string]bool
	survivors []pool.Survivor
	held      map[string]pool.Survivor // what holds the port of a worker
	errors    []string
	outlived  []pool.StopResult // who was ended after or beside its worker

	summary control.StopSummary
}

func newStopping() *stopping {
	s := &stopping{
		strays: make(chan struct{}), over: make(chan struct{}),
		reported: map[string]bool{}, held: map[string]pool.Survivor{},
	}
	s.patience, s.hurry = context.WithCancel(context.Background())
	return s
}

// Stop implements control.Run. Every call returns when everything is stopped;
// one with Force cuts the grace time of all short.
func (s *supervisor) Stop(o control.StopOptions) control.StopSummary {
	s.setState(rundir.StateStopping)
	s.stopping.begin.Do(func() { s.beginStop(o.Grace) })
	if o.Force {
		s.stopping.hurry()
	}
	s.stopPools(o)
	<-s.stopping.strays
	s.stopping.look.Do(func() {
		s.stopping.summary = s.lookForSurvivors()
		s.tellOutlived()
		close(s.stopping.over)
	})
	<-s.stopping.over
	if o.Result != nil {
		for _, r := range s.stopping.outlived { // complete by now
			o.Result(r)
		}
	}
	return s.stopping.summary
}

// beginStop asks those to end that left their worker's group, who have the same
// grace time as the workers.
func (s *supervisor) beginStop(grace time.Duration) {
	s.events.Emit(telemetry.Record{Event: telemetry.RunStopping})
	if grace == 0 {
		grace = s.opts.Config.Grace
	}
	s.stopping.deadline = time.Now().Add(grace)
	s.service.stopping(grace)
	go func() {
		defer close(s.stopping.strays)
		// Whatever is left, and whatever went wrong, the look afterwards tells.
		_, _ = s.end(s.stopping.patience, s.strays(), grace)
	}()
}

func (s *supervisor) stopPools(o control.StopOptions) {
	var wg sync.WaitGroup
	for _, p := range s.pools {
		wg.Go(func() {
			p.Stop(pool.StopOptions{Grace: o.Grace, Force: o.Force, Result: func(r pool.StopResult) { s.report(o, r) }})
		})
	}
	wg.Wait()
}

func (s *supervisor) report(o control.StopOptions, r pool.StopResult) {
	if o.Result != nil {
		o.Result(r)
	}
	s.stopping.mu.Lock()
	defer s.stopping.mu.Unlock()
	if s.stopping.reported[r.Worker] {
		return
	}
	s.stopping.reported[r.Worker] = true
	for _, survivor := range r.Survivors {
		if survivor.PID == 0 {
			s.stopping.held[r.Worker] = survivor
			continue
		}
		s.stopping.survivors = append(s.stopping.survivors, survivor)
	}
	for _, e := range r.Outlived {
		s.noteOutlived(e, "left by "+r.Worker)
	}
	if r.Err != "" {
		s.stopping.errors = append(s.stopping.errors, r.Worker+": "+r.Err)
	}
	if s.opts.Stopped != nil {
		s.opts.Stopped(r)
	}
}

// lookForSurvivors scans after everything was stopped, ends what it finds, and
// then has the guard do the same: only what both did not find is gone.
func (s *supervisor) lookForSurvivors() control.StopSummary {
	began := time.Now()
	left, err := s.end(s.stopping.patience, s.remaining, max(0, time.Until(s.stopping.deadline)))
	s.metrics.scan(time.Since(began))
	summary := control.StopSummary{Errors: s.failures(err)}
	summary.Survivors, summary.Notes = s.survivors(left)
	verdict, silent, err := s.guards.ask()
	for _, m := range silent {
		s.events.Emit(telemetry.Record{Event: telemetry.GuardDied, PID: m.pid, Reason: "it " + m.fate})
		s.logger.Warn("no verdict of the guard", "pid", m.pid, "reason", "it "+m.fate)
	}
	if errors.Is(err, errNoGuard) {
		return summary
	}
	if err != nil {
		s.warn("no verdict of the guard", err)
		return summary
	}
	for _, m := range silent {
		summary.Notes = append(summary.Notes, m.String())
	}
	s.relay(verdict)
	summary.Guard = &control.Cleanup{Found: verdict.Found, Killed: verdict.Killed, Survivors: verdict.Survivors, Errors: verdict.Errors}
	return summary
}

// relay passes on what the guard has written to the event log.
func (s *supervisor) relay(v guard.Verdict) {
	findings := telemetry.Findings{Source: telemetry.SourceGuard, Confirmed: len(v.Found)+len(v.Errors) == 0, Found: v.Found, Killed: v.Killed}
	for _, event := range findings.Events("this indicates a bug in the normal shutdown") {
		s.events.Relay(event)
	}
}

// finish writes how the run ended.
func (s *supervisor) finish(cause error) error {
	s.outcome.Looked = true
	s.outcome.Summary = s.stopping.summary
	end := &rundir.End{At: time.Now().UTC(), How: rundir.EndStopped}
	if cause != nil {
		end.How, end.Reason = rundir.EndStartFailed, cause.Error()
	}
	for _, survivor := range s.outcome.Summary.Survivors {
		if survivor.PID != 0 {
			end.Survivors = append(end.Survivors, survivor.PID)
		}
	}
	if g := s.outcome.Summary.Guard; g != nil {
		end.Add(telemetry.SourceGuard, g.Found, g.Killed)
		end.Survivors = append(end.Survivors, g.Survivors...)
		slices.Sort(end.Survivors)
		end.Survivors = slices.Compact(end.Survivors)
		end.Confirmed = len(g.Found)+len(g.Errors) == 0
	}
	s.record.State, s.record.End = rundir.StateEnded, end
	s.events.Emit(telemetry.Record{Event: telemetry.RunEnded, Reason: end.How})
	s.service.stopped(s.outcome.Summary)
	return s.dir.WriteRecord(s.record)
}
