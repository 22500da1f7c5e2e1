package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// ended is the collector of what the records of ended runs say in the moment in which
// somebody asks: a run may end, or be cleaned up, long after this one has started.
type ended struct {
	own  string // this run counts its own as it happens
	read atomic.Pointer[func() []Findings]

	success, survivors, found, killed *prometheus.Desc
}

// These metrics exist once more, as counters of this run.
const (
	successName, successHelp     = "cleanup_success_total", "Looks for leftovers of a run that found nothing."
	foundName, foundHelp         = "orphaned_processes_found_total", "Processes of a run that were alive when none should have been."
	killedName, killedHelp       = "emergency_cleanup_total", "Processes that an emergency cleanup ended."
	survivorsName, survivorsHelp = "cleanup_survivors_total", "Processes that outlived the end of a run and its cleanup."
)

func newEnded(own string) *ended {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &ended{
		own:       own,
		success:   describe(successName, successHelp, "run_id"),
		survivors: describe(survivorsName, survivorsHelp, "run_id"),
		found:     describe(foundName, foundHelp, "run_id", "source"),
		killed:    describe(killedName, killedHelp, "run_id", "source"),
	}
}

// Describe implements prometheus.Collector. It says nothing, because what this run
// counts is described by the same words, and a registry takes these once.
func (*ended) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (e *ended) Collect(out chan<- prometheus.Metric) {
	read := e.read.Load()
	if read == nil {
		return
	}
	byRun := map[string]*tally{}
	for _, f := range (*read)() {
		if f.RunID == e.own {
			continue
		}
		if byRun[f.RunID] == nil {
			byRun[f.RunID] = &tally{found: map[string]int{}, killed: map[string]int{}}
		}
		byRun[f.RunID].add(f)
	}
	for run, t := range byRun {
		count := func(d *prometheus.Desc, n int, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{run}, labels...)...)
		}
		count(e.success, t.success)
		count(e.survivors, t.survivors)
		for _, source := range sources() {
			count(e.found, t.found[source], source)
			count(e.killed, t.killed[source], source)
		}
	}
}

// tally is what was found of one run.
type tally struct {
	success, survivors int
	found, killed      map[string]int // by source
}

func (t *tally) add(f Findings) {
	if f.Confirmed {
		t.success++
	}
	t.survivors += len(f.Survivors)
	t.found[f.Source] += len(f.Found)
	t.killed[f.Source] += len(f.Killed)
}
