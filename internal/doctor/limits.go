package doctor

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/supervisor"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

func (e *examination) limits() {
	if described := e.needsConfig("descriptors"); !e.needsConfig("processes") || !described {
		return
	}
	var descriptors, threads []pool.Limit
	for _, l := range pool.Limits(supervisor.Demand(e.Config)) {
		if l.Own {
			descriptors = append(descriptors, l)
		} else {
			threads = append(threads, l)
		}
	}
	n := workers(e.Config)
	e.tell(judgeLimits("descriptors", descriptors, n, false))
	e.tell(judgeLimits("processes", threads, n, e.Running != ""))
}

// judgeLimits tells of the tightest of these. A run that lives has taken its share.
func judgeLimits(name string, limits []pool.Limit, workers int, running bool) Check {
	if len(limits) == 0 {
		return Check{Name: name, State: Skipped, Evidence: "this system does not tell its limit"}
	}
	left := func(l pool.Limit) int64 { return int64(l.Allowed) - int64(l.Used+l.Need) }
	tightest := slices.MinFunc(limits, func(a, b pool.Limit) int { return cmp.Compare(left(a), left(b)) })
	c := Check{
		Name: name, State: OK,
		Evidence: fmt.Sprintf("%s: up to %d %s, and %d are allowed", plural(workers, "worker", "workers"), tightest.Need, tightest.What, tightest.Allowed),
	}
	if tightest.Used > 0 {
		c.Evidence += fmt.Sprintf(", %d of them in use", tightest.Used)
	}
	if running {
		tightest.Need = 0
	}
	if !tightest.Enough() {
		c.State, c.Hint = Fail, tightest.Raise+"; or start fewer workers"
	}
	return c
}

// cgroups compares what the run may take with what its cgroup allows.
func (e *examination) cgroups() {
	const name = "cgroup"
	if !e.needsConfig(name) {
		return
	}
	if memory, limited := readCgroup(e.Root, "memory"); limited {
		e.tell(judgeMemory(memory, e.memory()))
		return
	}
	e.ok(name, "no limit of memory on this process")
}

// share is what one pool's workers may take of the memory, and how that is known.
type share struct {
	pool    string
	workers int
	bytes   uint64 // of one worker; 0: not known
	how     string
}

// memory is what the workers of each pool may take: as much as they are allowed
// to, or what the import of their adapter took.
func (e *examination) memory() []share {
	var all []share
	for _, p := range e.Config.Pools {
		s := share{pool: p.Name, workers: p.Workers, bytes: p.MaxMemory, how: "max_memory"}
		if s.bytes == 0 {
			s.bytes, s.how = e.imported(p), "after the import alone"
		}
		all = append(all, s)
	}
	return all
}

func (e *examination) imported(p config.Pool) uint64 {
	for _, i := range e.imports {
		if p.Adapter != "" && i.adapter == p.Adapter {
			return i.PeakBytes
		}
	}
	return 0
}

// supervisorBytes is what supervisor and guard take beside the workers: 25 MB and
// 17 MB were measured.
const supervisorBytes = 45e6

func judgeMemory(allowed cgroupLimit, shares []share) Check {
	sum, text := uint64(supervisorBytes), ""
	for _, s := range shares {
		sum += uint64(s.workers) * s.bytes
		if s.bytes > 0 {
			text += fmt.Sprintf("; %s: %d × %d MB (%s)", s.pool, s.workers, s.bytes/1e6, s.how)
		}
	}
	c := Check{
		Name: "cgroup", State: OK,
		Evidence: fmt.Sprintf("the run may take %d MB of the %d MB in %s%s", sum/1e6, allowed.max/1e6, allowed.file, text),
	}
	if sum > allowed.max {
		c.State = Fail
		c.Hint = "raise the limit (systemd: MemoryMax=, containers: --memory), start fewer workers, or lower --max-memory"
	}
	return c
}
