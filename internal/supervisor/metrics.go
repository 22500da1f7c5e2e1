package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
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

// openMetrics serves the metrics if they are wanted. What earlier runs could not
// export any more is read before anything of it is pruned.
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
	earlier, err := earlierFindings(s.opts.Runs, s.dir.Previous(), now)
	if err != nil {
		s.warn("cannot export what earlier runs have left", err)
	}
	for _, found := range earlier {
		m.counts.AddEnded(found)
	}
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

// earlierFindings is how earlier runs ended: those that are on disk, and the one
// that had this run's id. What has been swept up now is in their records, too,
// but it is this run that tells of it.
func earlierFindings(runs string, previous *rundir.Record, now swept) ([]telemetry.Findings, error) {
	found, _, err := rundir.List(runs) // a broken record is shown by those who look for runs
	if previous != nil {
		found = append(found, rundir.Found{Record: previous})
	}
	var all []telemetry.Findings
	for _, f := range found {
		if f.Alive || f.Record == nil || f.Record.End == nil {
			continue
		}
		end, told := f.Record.End, now.found[f.Record.RunID]
		all = append(all, telemetry.Findings{RunID: f.Record.RunID, Confirmed: end.Confirmed, Survivors: end.Survivors})
		for _, c := range end.Cleanups {
			all = append(all, telemetry.Findings{RunID: f.Record.RunID, Source: c.By, Found: except(c.Found, told), Killed: except(c.Killed, told)})
		}
	}
	return all, err
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
