// Package holders says of ports who holds them, and what those are to the runs of
// this machine: a worker on its own port, an orphan of a dead run, a stranger.
//
// It only looks. A port of a living run is read from the kernel's tables and never
// bound: a worker may be about to bind it, or its supervisor may be looking whether
// it is free.
package holders

import (
	"context"
	"errors"
	"time"

	"github.com/snakepit-dev/snakepit/internal/orphans"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// State is what a port is.
type State string

// The states of a port.
const (
	Free      State = "free"
	Serving   State = "serving"   // a living run's worker has it
	Held      State = "held"      // somebody else has it
	Orphan    State = "orphan"    // a process of a dead run has it
	Stray     State = "stray"     // a process of a living run has it, which the run does not know
	Forbidden State = "forbidden" // this user may not bind it
	Unknown   State = "unknown"   // it could not be looked at
)

// Target is a port to look at.
type Target struct {
	Host   string
	Port   int
	RunID  string // the run whose worker has it; empty for a port that was just named
	Worker string
	// State of the worker, as its living supervisor tells; empty for a dead run's.
	State string
	PID   int // the worker's process; 0: none
}

// alive says that the port is of a living run.
func (t Target) alive() bool { return t.State != "" }

// Holder is a process that has a port.
type Holder struct {
	portcheck.Owner
	// Verdict on the process; empty for one that no run knows.
	Verdict procscan.Verdict
	What    State     // what the port is as far as this holder goes
	Since   time.Time // when the process was started; zero when that is not known
}

// Port is what was found.
type Port struct {
	Target
	State   State
	Holders []Holder
	Problem string // why the state is unknown or forbidden
}

// Options say what is known beforehand.
type Options struct {
	Runs   string   // the directory of all runs
	RunID  string   // the run that the user named; its processes count, whoever owns them
	Living []Target // the ports of all workers of living runs
}

// Look looks at the ports, in their order. Problems are what could not be read.
func Look(ctx context.Context, o Options, targets []Target) (ports []Port, problems []string) {
	living := map[int]Target{}
	workers := map[int]Target{}
	for _, t := range o.Living {
		living[t.Port] = t
		if t.PID != 0 {
			workers[t.PID] = t
		}
	}
	judges := &judges{options: o, workers: workers}
	for _, t := range targets {
		known, kept := living[t.Port]
		if kept && t.RunID == "" && known.Host == t.Host {
			t = known
		}
		ports = append(ports, judges.judge(ctx, find(ctx, t, !kept && !t.alive())))
	}
	return ports, judges.problems
}

// find asks the kernel. Whether the port may be bound is for who knows of all living
// runs: an address of another name can be in the way as well.
func find(ctx context.Context, t Target, mayBind bool) Port {
	p := Port{Target: t, State: Free}
	owners, err := portcheck.Blockers(ctx, t.Host, t.Port, mayBind, procscan.RunAndWorker)
	switch {
	case errors.Is(err, portcheck.ErrInUse): // by nobody who can be named
		p.State = Held
	case errors.Is(err, portcheck.ErrPermission):
		p.State, p.Problem = Forbidden, err.Error()
	case err != nil:
		p.State, p.Problem = Unknown, err.Error()
	}
	for _, owner := range owners {
		p.State = Held
		p.Holders = append(p.Holders, Holder{Owner: owner, What: Held, Since: since(int(owner.PID))})
	}
	return p
}

func since(pid int) time.Time {
	id, err := procscan.Lookup(pid)
	if err != nil {
		return time.Time{}
	}
	at, _ := procscan.StartedAt(id) // zero when that is not known
	return at
}

// judges say what holders are to runs. All processes of the machine are looked at
// once, and only if somebody holds a port who is no worker of a living run.
type judges struct {
	options  Options
	workers  map[int]Target // of living runs, by PID
	scanned  bool
	findings map[int]orphans.Finding // by PID
	problems []string
}

func (j *judges) judge(ctx context.Context, p Port) Port {
	for i := range p.Holders {
		h := &p.Holders[i]
		if h.PID == 0 {
			continue
		}
		h.What = j.whatOf(ctx, h)
		if i == 0 || h.What == Orphan { // what can be done something about comes first
			p.State = h.What
		}
	}
	return p
}

func (j *judges) whatOf(ctx context.Context, h *Holder) State {
	if worker, ok := j.workers[int(h.PID)]; ok {
		h.RunID, h.Worker, h.Verdict = worker.RunID, worker.Worker, procscan.Managed
		return Serving
	}
	finding, ok := j.find(ctx)[int(h.PID)]
	if !ok {
		return Held
	}
	h.Verdict = finding.Verdict
	if finding.Verdict == procscan.Foreign {
		return Held
	}
	h.RunID = finding.RunID
	return map[procscan.Verdict]State{procscan.Managed: Serving, procscan.Orphan: Orphan, procscan.Stray: Stray}[finding.Verdict]
}

func (j *judges) find(ctx context.Context) map[int]orphans.Finding {
	if j.scanned {
		return j.findings
	}
	j.scanned, j.findings = true, map[int]orphans.Finding{}
	report, err := orphans.Find(ctx, orphans.Options{Runs: j.options.Runs, RunID: j.options.RunID, All: true, Theirs: j.options.RunID != ""})
	if err != nil {
		j.problems = append(j.problems, err.Error())
	}
	for _, f := range report.Processes {
		j.findings[f.Process.PID] = f
	}
	return j.findings
}
