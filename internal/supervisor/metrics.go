package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

// metrics is what a run has to do with Prometheus: nothing at all while it is
// nil, which all methods allow.
type metrics struct {
	counts   *telemetry.Metrics
	listener net.Listener
	server   *telemetry.Server
}

// MetricsError: the metrics cannot be served where they were wanted.
type MetricsError struct {
	Address string
	Holder  string // of the port, for a person; "" when nobody is seen
	Err     error
}

func (e *MetricsError) Error() string {
	if e.Holder != "" {
		return fmt.Sprintf("cannot serve metrics on %s: the port is held by %s", e.Address, e.Holder)
	}
	return fmt.Sprintf("cannot serve metrics on %s: %v", e.Address, e.Err)
}

func (e *MetricsError) Unwrap() error { return e.Err }

// openMetrics serves the metrics if they are wanted.
func (s *supervisor) openMetrics(now swept) error {
	c := s.opts.Config
	if c.Metrics == "" {
		return nil
	}
	listener, err := net.Listen("tcp", c.Metrics)
	if err != nil {
		return refusedMetrics(c.Metrics, err)
	}
	m := &metrics{counts: telemetry.NewMetrics(c.RunID), listener: listener}
	for _, p := range c.Pools {
		m.counts.AddPool(p.Name)
	}
	if s.wantsGuard() {
		m.counts.ExpectGuard()
	}
	if previous := s.dir.Previous(); previous != nil {
		for _, found := range findingsOf(previous, now) {
			m.counts.AddEarlier(found)
		}
	}
	var failed sync.Once
	m.counts.WatchEnded(func() []telemetry.Findings {
		ended, err := endedFindings(s.opts.Runs, now)
		if err != nil {
			failed.Do(func() { s.warn("cannot export what ended runs have left", err) })
		}
		return ended
	})
	m.server = m.counts.Serve(listener, s.logger)
	s.metrics = m
	return nil
}

// refusedMetrics says who holds the port.
func refusedMetrics(address string, err error) error {
	e := &MetricsError{Address: address, Err: err}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		e.Err = errno // without the address, which the text has already
	}
	host, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text) // it was listened on, so it is a number
	if host == "" {
		host = net.IPv6unspecified.String() // which takes IPv4 along, as an empty host does
	}
	if errno != syscall.EADDRINUSE {
		return e
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if owners, err := portcheck.Owners(ctx, host, port); err == nil && len(owners) > 0 {
		e.Holder = owners[0].String()
	}
	return e
}

// endedFindings is how the runs ended whose records are on disk.
func endedFindings(runs string, now swept) ([]telemetry.Findings, error) {
	found, _, err := rundir.List(runs) // a broken record is shown by those who look for runs
	var all []telemetry.Findings
	for _, f := range found {
		if !f.Alive && f.Record != nil {
			all = append(all, findingsOf(f.Record, now)...)
		}
	}
	return all, err
}

// findingsOf is how a run ended. What has been swept up now is in its record, too, but
// it is this run that tells of it.
func findingsOf(r *rundir.Record, now swept) []telemetry.Findings {
	if r.End == nil {
		return nil
	}
	told := now.found[r.RunID]
	all := []telemetry.Findings{{RunID: r.RunID, Confirmed: r.End.Confirmed, Survivors: r.End.Survivors}}
	for _, c := range r.End.Cleanups {
		all = append(all, telemetry.Findings{RunID: r.RunID, Source: c.By, Found: except(c.Found, told), Killed: except(c.Killed, told)})
	}
	return all
}

func except(pids, others []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return slices.Contains(others, pid) })
}

// sinks are told of every event, beside the event log and supervisor.log.
func (s *supervisor) sinks() []telemetry.Sink {
	var sinks []telemetry.Sink
	if s.metrics != nil {
		sinks = append(sinks, s.metrics.counts)
	}
	if s.opts.Events != nil {
		sinks = append(sinks, s.opts.Events)
	}
	return sinks
}

// address is where the metrics really are: port 0 has become one.
func (m *metrics) address() string {
	if m == nil {
		return ""
	}
	return m.listener.Addr().String()
}

// calls is who counts calls; nil when nobody does.
func (m *metrics) calls() pool.CallObserver {
	if m == nil {
		return nil
	}
	return m.counts
}

// watch shows the pools.
func (m *metrics) watch(pools []*pool.Pool) {
	if m == nil {
		return
	}
	var watched []telemetry.Pool
	for _, p := range pools {
		watched = append(watched, p)
	}
	m.counts.Watch(watched)
}

// scan counts a scan of all processes.
func (m *metrics) scan(took time.Duration) {
	if m != nil {
		m.counts.ObserveScan(took)
	}
}

func (m *metrics) close() error {
	if m == nil {
		return nil
	}
	if err := m.server.Close(time.Second); err != nil {
		return fmt.Errorf("cannot end the metrics server: %w", err)
	}
	return nil
}
