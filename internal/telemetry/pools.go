package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// Pool is what is shown of a pool; *pool.Pool is one.
type Pool interface {
	Name() string
	Desired() int
	Status() []pool.Status
}

// pools is the collector of what pools are at the moment in which somebody asks.
type pools struct {
	workers, ready, desired *prometheus.Desc
	watched                 atomic.Pointer[[]Pool]
}

func newPools(own prometheus.Labels) *pools {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, own)
	}
	return &pools{
		workers: describe("workers", "Workers by state.", "pool", "state"),
		ready:   describe("ready_workers", "Workers that serve.", "pool"),
		desired: describe("desired_workers", "Workers that a pool is to have.", "pool"),
	}
}

// Describe implements prometheus.Collector.
func (p *pools) Describe(out chan<- *prometheus.Desc) {
	out <- p.workers
	out <- p.ready
	out <- p.desired
}

// Collect implements prometheus.Collector.
func (p *pools) Collect(out chan<- prometheus.Metric) {
	watched := p.watched.Load()
	if watched == nil {
		return
	}
	for _, one := range *watched {
		count := map[pool.State]int{}
		for _, s := range one.Status() {
			count[s.State]++
		}
		for _, state := range pool.States() {
			out <- prometheus.MustNewConstMetric(p.workers, prometheus.GaugeValue, float64(count[state]), one.Name(), string(state))
		}
		out <- prometheus.MustNewConstMetric(p.ready, prometheus.GaugeValue, float64(count[pool.Ready]), one.Name())
		out <- prometheus.MustNewConstMetric(p.desired, prometheus.GaugeValue, float64(one.Desired()), one.Name())
	}
}
