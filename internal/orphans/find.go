package orphans

import (
	"context"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Options say what Find looks for.
type Options struct {
	Runs  string // the directory of all runs; it need not exist
	RunID string // processes that name this run only; empty for all
	// All also returns what is managed, foreign or dead.
	All bool
	// Theirs also judges processes of other users, whose run the caller has
	// named. Without it they are foreign, whatever their run, unless they are proven
	// to be of a run on disk (procscan.Facts.Proves) and the caller is root.
	Theirs bool
}

// Finding is a process, and the verdict on it.
type Finding struct {
	Process  procscan.Process
	RunID    string
	Verdict  procscan.Verdict
	Evidence []string
	// Registered says that the registry of the run names it.
	Registered bool

	Ports     []int     // TCP ports that it listens on, as far as they are to be seen
	RSSBytes  uint64    // 0 when it has ended
	StartedAt time.Time // zero when that is not known
}

// Condemned says that a cleanup may end the process: an orphan that is not dead.
func (f Finding) Condemned() bool {
	return f.Verdict == procscan.Orphan && !f.Process.State.IsDead()
}

// Stray says that the process lives and is not known to its living run.
func (f Finding) Stray() bool {
	return f.Verdict == procscan.Stray && !f.Process.State.IsDead()
}

// Spared says that the registry names a living process of which nothing else says
// that it may be ended: the file is wrong, or a worker looks like no worker.
func (f Finding) Spared() bool {
	return f.Registered && f.Verdict == procscan.Foreign && !f.Process.State.IsDead()
}

// Report is what Find has found, in the order of runs and PIDs.
type Report struct {
	Scanned    int // processes
	Unreadable int // of these, those that could not be read; they may be anything
	Processes  []Finding
	// Runs are the runs on disk that match, by id.
	Runs map[string]rundir.Found
	// Problems are files that cannot be used and processes that could not be
	// read, the caller's own too that may be of a run ("could not look at PID 7"). The rest of the report stands.
	Problems []string
}

// Find looks at every process of the machine. It changes nothing. The error is
// that there is nothing to report at all. It looks once: a process that hops (its
// parent forks it and ends, within milliseconds) may be missed.
func Find(ctx context.Context, o Options) (Report, error) {
	r, err := look(ctx, o, "")
	if err != nil {
		return r, err
	}
	measure(ctx, r.Processes)
	return r, nil
}

// measure fills in what people want to know and no verdict depends on.
func measure(ctx context.Context, list []Finding) {
	var pids []int
	for i := range list {
		f := &list[i]
		f.RSSBytes, _, _ = procscan.Usage(f.Process.ID)          // it may have ended since
		f.StartedAt, _ = procscan.StartedAt(f.Process.ID)        // the time is not known then
		if f.Verdict != procscan.Foreign || f.Process.Condemns { // who only mentions a run holds no port of it
			pids = append(pids, f.Process.PID)
		}
	}
	ports := portcheck.Listening(ctx, pids)
	for i := range list {
		list[i].Ports = ports[list[i].Process.PID]
	}
}
