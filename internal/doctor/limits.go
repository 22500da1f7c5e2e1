package doctor

import (
	"fmt"

	"github.com/snakepit-dev/snakepit/internal/config"
)

// needs are how much a run takes of what the kernel limits.
type needs struct {
	// descriptors are those of the supervisor's own process, at the worst moment of
	// its start (RLIMIT_NOFILE).
	descriptors int
	// tasks are the processes and threads of the whole run, which is what the kernel
	// counts for a user (RLIMIT_NPROC) and for a cgroup (pids.max).
	tasks int
}

// needsOf says how much a run of so many workers needs. Measured with 9 workers on 2
// CPUs: 5 descriptors a worker and 17 more, one more for each while it starts; 10
// threads in a worker of the showcase, 10 in the supervisor, 5 in the guard. gRPC has
// more threads where there are more CPUs.
func needsOf(workers int) needs {
	return needs{descriptors: 64 + 6*workers, tasks: 32 + 10*workers}
}

// limit is what the kernel allows this user or this process.
type limit struct {
	max  uint64 // unlimited is the largest number
	used uint64
}

func (e *examination) limits() {
	if described := e.needsConfig("descriptors"); !e.needsConfig("processes") || !described {
		return
	}
	n := needsOf(workers(e.Config))
	if allowed, err := descriptors(); err != nil {
		e.skip("descriptors", "%v", err)
	} else {
		e.tell(judgeDescriptors(allowed, n.descriptors, workers(e.Config)))
	}
	allowed, exempt, err := tasks()
	switch {
	case err != nil:
		e.skip("processes", "%v", err)
	case exempt:
		e.ok("processes", "about %d processes and threads; no limit holds for this user", n.tasks)
	default:
		e.tell(judgeTasks(allowed, n.tasks, e.Running != ""))
	}
}

func judgeDescriptors(allowed limit, needs, workers int) Check {
	c := Check{
		Name: "descriptors", State: OK,
		Evidence: fmt.Sprintf("%s: the supervisor takes up to %d file descriptors, and may have %s", plural(workers, "worker", "workers"), needs, number(allowed.max)),
	}
	if uint64(needs) > allowed.max {
		c.State, c.Hint = Fail, fmt.Sprintf("allow more: ulimit -n %d; in a systemd unit: LimitNOFILE=%d; or start fewer workers", needs, needs)
	}
	return c
}

// judgeTasks compares with what is left; a run that lives has taken its share.
func judgeTasks(allowed limit, needs int, running bool) Check {
	c := Check{
		Name: "processes", State: OK,
		Evidence: fmt.Sprintf("about %d processes and threads; this user has %d, and may have %s", needs, allowed.used, number(allowed.max)),
	}
	total := allowed.used + uint64(needs)
	if running {
		total = allowed.used
	}
	if total > allowed.max {
		c.State, c.Hint = Fail, fmt.Sprintf("allow more: ulimit -u %d; in a systemd unit: LimitNPROC=%d; or start fewer workers", total, total)
	}
	return c
}

func number(n uint64) string {
	if n >= 1<<62 {
		return "any number"
	}
	return fmt.Sprint(n)
}

// cgroups compares what the run may take with what its cgroup allows.
func (e *examination) cgroups() {
	const name = "cgroup"
	if !e.needsConfig(name) {
		return
	}
	memory, limited := readCgroup(e.Root, "memory")
	if limited {
		e.tell(judgeMemory(memory, e.memory()))
	}
	pids, counted := readCgroup(e.Root, "pids")
	if counted {
		e.tell(judgePids(pids, needsOf(workers(e.Config)).tasks, e.Running != ""))
	}
	if !limited && !counted {
		e.ok(name, "no limit of memory or of processes on this process")
	}
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

func judgePids(allowed cgroupLimit, needs int, running bool) Check {
	c := Check{
		Name: "cgroup", State: OK,
		Evidence: fmt.Sprintf("about %d processes and threads; %d of %d are taken in %s", needs, allowed.current, allowed.max, allowed.file),
	}
	if total := allowed.current + uint64(needs); total > allowed.max && !running {
		c.State = Fail
		c.Hint = fmt.Sprintf("allow %d (systemd: TasksMax=, containers: --pids-limit), or start fewer workers", total)
	}
	return c
}
