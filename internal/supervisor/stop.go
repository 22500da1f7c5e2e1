package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/guard"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// stopping is what the calls of Stop share.
type stopping struct {
	begin, look sync.Once
	hurry       context.CancelFunc // cuts the strays' grace time short
	strays      chan struct{}      // closed when the strays have had theirs
	over        chan struct{}      // closed when the summary stands

	mu        sync.Mutex // guards reported and survivors
	reported  map[string]bool
	survivors []pool.Survivor
	errors    []string
	summary   control.StopSummary
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
		close(s.stopping.over)
	})
	<-s.stopping.over
	return s.stopping.summary
}

// beginStop asks those to end that left their worker's group: they are found by
// their environment, and have the same grace time as the workers.
func (s *supervisor) beginStop(grace time.Duration) {
	s.events.Emit(telemetry.Record{Event: telemetry.RunStopping})
	if grace == 0 {
		grace = s.opts.Config.Grace
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stopping.hurry = cancel
	go func() {
		defer close(s.stopping.strays)
		defer cancel()
		// Whatever is left, and whatever went wrong, the look afterwards tells.
		_, _, _ = procscan.EndRun(ctx, s.opts.Config.RunID, s.notAStray(), procscan.EndOptions{Grace: grace})
	}()
}

// notAStray tells the members of the workers' groups, which are the pools' own
// business, and those of another run of the same name.
func (s *supervisor) notAStray() func(procscan.Process) bool {
	leaders := map[int]bool{}
	for _, p := range s.pools {
		for _, status := range p.Status() {
			if !status.Process.IsZero() {
				leaders[status.Process.PID] = true
			}
		}
	}
	others := procscan.NotOf(s.key)
	return func(p procscan.Process) bool { return leaders[p.PGID] || others(p) }
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
	s.stopping.survivors = append(s.stopping.survivors, r.Survivors...)
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
	s.stopping.mu.Lock()
	survivors, failures := s.stopping.survivors, s.stopping.errors
	s.stopping.mu.Unlock()

	began := time.Now()
	_, left, err := procscan.EndRun(context.Background(), s.opts.Config.RunID, procscan.NotOf(s.key), procscan.EndOptions{})
	s.metrics.scan(time.Since(began))
	for _, p := range left {
		survivors = append(survivors, pool.Survivor{PID: p.PID, What: strings.Join(p.Args, " ")})
	}
	if err != nil {
		failures = append(failures, err.Error())
	}
	summary := control.StopSummary{Survivors: survivors, Errors: failures}
	verdict, err := s.guards.ask()
	if errors.Is(err, errNoGuard) {
		return summary
	}
	if err != nil {
		s.warn("no verdict of the guard", err)
		return summary
	}
	s.relay(verdict)
	summary.Guard = &control.Cleanup{Found: verdict.Found, Killed: verdict.Killed, Survivors: verdict.Survivors, Errors: verdict.Errors}
	return summary
}

// relay passes on what the guard has written to the event log.
func (s *supervisor) relay(v guard.Verdict) {
	findings := telemetry.Findings{Confirmed: len(v.Found)+len(v.Errors) == 0, Found: v.Found, Killed: v.Killed}
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
		end.Found, end.Killed = g.Found, g.Killed
		end.Survivors = append(end.Survivors, g.Survivors...)
		slices.Sort(end.Survivors)
		end.Survivors = slices.Compact(end.Survivors)
		end.Confirmed = len(g.Found)+len(g.Errors) == 0
	}
	s.record.State, s.record.End = rundir.StateEnded, end
	s.events.Emit(telemetry.Record{Event: telemetry.RunEnded, Reason: end.How})
	return s.dir.WriteRecord(s.record)
}
