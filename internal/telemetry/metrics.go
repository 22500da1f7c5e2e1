package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// namespace begins the names of all metrics.
const namespace = "snakepit"

// Metrics counts what happens in a run, for Prometheus. It is a sink of the
// run's events, and the observer of its calls. docs/metrics.md says what each
// metric means.
type Metrics struct {
	runID    string
	registry *prometheus.Registry

	success, survivors *prometheus.CounterVec // run_id
	found, killed      *prometheus.CounterVec // run_id, source

	// The label run_id is filled in.
	restarts    *prometheus.CounterVec // pool, reason
	pools       *pools
	ended       *ended
	phases      prometheus.ObserverVec // phase
	away        prometheus.ObserverVec // pool
	guard       prometheus.Gauge
	calls       *prometheus.CounterVec // pool, result
	callSeconds prometheus.ObserverVec // pool
	scans       prometheus.Observer

	mu    sync.Mutex       // guards lives
	lives map[string]*life // by worker
}

// Buckets in seconds. A worker that is forked restarts in milliseconds, one
// that imports much in many seconds.
func phaseBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

func callBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
}

func scanBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
}

// NewMetrics makes the metrics of a run, in a registry of their own.
func NewMetrics(runID string) *Metrics {
	m := &Metrics{runID: runID, registry: prometheus.NewRegistry(), lives: map[string]*life{}}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	own := prometheus.Labels{"run_id": runID}
	m.success = m.counter(successName, successHelp, "run_id")
	m.found = m.counter(foundName, foundHelp, "run_id", "source")
	m.killed = m.counter(killedName, killedHelp, "run_id", "source")
	m.survivors = m.counter(survivorsName, survivorsHelp, "run_id")
	m.pools, m.ended = newPools(own), newEnded(runID)
	m.registry.MustRegister(m.pools, m.ended)
	m.restarts = m.counter("worker_restarts_total", "Restarts of workers by cause.", "run_id", "pool", "reason").MustCurryWith(own)
	m.phases = m.histogram("restart_phase_seconds", "Duration of the phases of restarts.", phaseBuckets(), "run_id", "phase").MustCurryWith(own)
	m.calls = m.counter("calls_total", "Calls that have ended, by result.", "run_id", "pool", "result").MustCurryWith(own)
	m.callSeconds = m.histogram("call_seconds", "Duration of calls, the wait for a worker included.", callBuckets(), "run_id", "pool").MustCurryWith(own)
	m.scans = m.histogram("scan_seconds", "Duration of scans of all processes of the machine.", scanBuckets(), "run_id").With(own)
	m.away = m.histogram("restart_seconds", "Time from the end of a worker's service until it serves again.", phaseBuckets(), "run_id", "pool").MustCurryWith(own)
	m.guard = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "guard_up", Help: "1 while the guard of the run lives, 0 while there is none.", ConstLabels: own,
	})
	for _, phase := range restartPhases() {
		m.phases.WithLabelValues(string(phase))
	}
	m.AddEarlier(Findings{})
	return m
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

// AddPool makes a pool known: what can be counted starts at zero, because a counter
// that appears with its first value shows no increase.
func (m *Metrics) AddPool(name string) {
	for _, reason := range []string{
		"exit", "start_failure", "ready_timeout", "cleanup_timeout", "hung", "blocked", "request", "max_memory", "ttl", "max_calls",
		"out_of_memory", "SIGABRT", "SIGBUS", "SIGKILL", "SIGSEGV", "SIGTERM", // other signals appear with their first
	} {
		m.restarts.WithLabelValues(name, reason)
	}
	for _, result := range callResults() {
		m.calls.WithLabelValues(name, result)
	}
	m.callSeconds.WithLabelValues(name)
	m.away.WithLabelValues(name)
}

// ExpectGuard shows whether the run has its guard, which it has not yet.
func (m *Metrics) ExpectGuard() { m.registry.MustRegister(m.guard) }

// Watch shows what these pools are whenever somebody asks.
func (m *Metrics) Watch(watched []Pool) { m.pools.watched.Store(&watched) }

// WatchEnded shows what read says of the runs that have ended, whenever somebody asks.
// There may be findings of several sources for each; those of this run are left out.
func (m *Metrics) WatchEnded(read func() []Findings) { m.ended.read.Store(&read) }

// AddEarlier counts what was found at the end of an earlier run of this name, which
// could not export it any more.
func (m *Metrics) AddEarlier(f Findings) {
	for _, source := range sources() {
		m.found.WithLabelValues(m.runID, source)
		m.killed.WithLabelValues(m.runID, source)
	}
	success := m.success.WithLabelValues(m.runID)
	if f.Confirmed {
		success.Inc()
	}
	m.survivors.WithLabelValues(m.runID).Add(float64(len(f.Survivors)))
	if len(f.Found)+len(f.Killed) > 0 {
		m.found.WithLabelValues(m.runID, f.Source).Add(float64(len(f.Found)))
		m.killed.WithLabelValues(m.runID, f.Source).Add(float64(len(f.Killed)))
	}
}

// ObserveScan counts a scan of all processes.
func (m *Metrics) ObserveScan(took time.Duration) { m.scans.Observe(took.Seconds()) }

// Receive implements Sink.
func (m *Metrics) Receive(r Record) {
	switch r.Event {
	case CleanupSuccess:
		m.success.WithLabelValues(r.RunID).Inc()
	case OrphansFound:
		m.found.WithLabelValues(r.RunID, r.Source).Add(countOf(r))
	case EmergencyKill:
		m.killed.WithLabelValues(r.RunID, r.Source).Add(countOf(r))
	case GuardStarted:
		m.guard.Set(1)
	case GuardDied:
		m.guard.Set(0)
	case WorkerState:
		m.moved(r)
	}
}

func countOf(r Record) float64 {
	if r.Count == nil {
		return 0
	}
	return float64(*r.Count)
}

func (m *Metrics) moved(r Record) {
	if r.Cause != "" {
		m.restarts.WithLabelValues(r.Pool, r.Cause).Inc()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lives[r.Worker]
	if l == nil {
		l = &life{}
		m.lives[r.Worker] = l
	}
	known, away := l.move(r)
	for _, p := range known {
		m.phases.WithLabelValues(p.name).Observe(p.took.Seconds())
	}
	if away > 0 {
		m.away.WithLabelValues(r.Pool).Observe(away.Seconds())
	}
}
