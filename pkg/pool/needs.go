package pool

// Needs are how much a run takes of what the kernel limits.
type Needs struct {
	// Descriptors are those of the supervisor's own process, at the worst moment of
	// its start (RLIMIT_NOFILE).
	Descriptors int
	// Tasks are the processes and threads of the whole run, which is what the kernel
	// counts for a user (RLIMIT_NPROC) and for a cgroup (pids.max).
	Tasks int
}

// NeedsOf says how much a run of so many workers needs, on a machine with so many
// CPUs. Measured with 9 workers on 2 CPUs: 5 descriptors a worker and 17 more, and
// 10 threads in a worker of the showcase, 10 in the supervisor, 5 in the guard. A
// worker that is being launched has a few descriptors more, for its pipes and the
// port that is kept free for it; gRPC has more threads where there are more CPUs.
func NeedsOf(workers, cpus int) Needs {
	return Needs{Descriptors: 64 + 8*workers, Tasks: 32 + (10+cpus)*workers}
}
