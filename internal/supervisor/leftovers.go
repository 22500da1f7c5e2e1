package supervisor

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// refuseLeftovers looks for processes that name this run, by their marker and in
// its registry: they would be taken for ours. An earlier run of this id has left
// them, or they are of one that lives elsewhere.
func refuseLeftovers(ctx context.Context, runID string, previous *rundir.Record, registered []rundir.Entry) error {
	facts := earlierRun(runID, previous, registered)
	snapshot, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true, Ancestors: true, Also: facts.Registered})
	if err != nil {
		return fmt.Errorf("cannot look for leftovers of run %q: %w", runID, err)
	}
	left, taken := &LeftoversError{RunID: runID}, &NameTakenError{RunID: runID}
	for _, p := range snapshot.Processes {
		known := slices.Contains(facts.Registered, p.ID)
		named := p.Condemns && p.RunID == runID
		if !known && !named || p.State.IsDead() || p.PID == snapshot.Self {
			continue
		}
		if host, found := hostOf(p, snapshot, facts); found && !known {
			taken.PIDs, taken.Host = append(taken.PIDs, p.PID), host
			continue
		}
		left.PIDs = append(left.PIDs, p.PID)
	}
	switch {
	case len(taken.PIDs) > 0:
		return taken
	case len(left.PIDs) > 0:
		return left
	}
	return nil
}

// earlierRun is what is known of the run that had this id before.
func earlierRun(runID string, previous *rundir.Record, registered []rundir.Entry) *procscan.Facts {
	f := &procscan.Facts{RunID: runID, Lock: procscan.LockFree, Owner: os.Geteuid()}
	if previous != nil {
		s := previous.Supervisor
		f.Supervisor, f.Key = procscan.ID{PID: s.PID, Start: s.Start, Boot: s.Boot}, previous.Key
	}
	for _, e := range registered {
		if e.PID != 0 {
			f.Registered = append(f.Registered, procscan.ID{PID: e.PID, Start: e.Start, Boot: e.Boot})
		}
	}
	return f
}

// hostOf is the living parent of the processes that p is one of. There is none
// when p is proven to be an orphan, or its parent is PID 1, which takes what
// others leave.
func hostOf(p procscan.Process, s procscan.Snapshot, f *procscan.Facts) (procscan.Process, bool) {
	for _, facts := range []*procscan.Facts{f, nil} {
		if verdict, _ := procscan.Judge(p, s, facts); verdict == procscan.Orphan {
			return procscan.Process{}, false
		}
	}
	for _, a := range s.Ancestors(p.PID) {
		if !a.Condemns || a.RunID != f.RunID {
			return a, a.PID != 1 && !a.State.IsDead()
		}
	}
	return procscan.Process{}, false
}

// LeftoversError: an earlier run of the same id has left processes behind.
type LeftoversError struct {
	RunID string
	PIDs  []int
}

func (e *LeftoversError) Error() string {
	return fmt.Sprintf("cannot start run %q: an earlier run of this id has left processes: PID %v", e.RunID, e.PIDs)
}

// NameTakenError: processes that name the run belong to another process that
// lives. It has another state directory, is another user's, or is no snakepit.
type NameTakenError struct {
	RunID string
	PIDs  []int
	Host  procscan.Process // their parent
}

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("cannot start run %q: another run has this name: %s of it, PID %s, and their parent, PID %d (%s), live",
		e.RunID, processes(len(e.PIDs)), listed(e.PIDs), e.Host.PID, e.host())
}

// Stop is the command that has the other run stopped in good order; empty when
// it is not known to be a supervisor, or not ours to ask.
func (e *NameTakenError) Stop() string {
	mayAsk := os.Geteuid() == 0 || e.Host.UID == os.Geteuid()
	if !mayAsk || !e.supervised() {
		return ""
	}
	return fmt.Sprintf("kill -TERM %d", e.Host.PID)
}

// supervised says that the parent is a supervisor: started in the foreground, or
// detached.
func (e *NameTakenError) supervised() bool {
	args := e.Host.Args
	return len(args) > 1 && e.host() == "snakepit" && (slices.Contains(args, "start") || args[1] == "supervise")
}

func (e *NameTakenError) host() string {
	if len(e.Host.Args) == 0 {
		return "?"
	}
	return strings.TrimPrefix(path.Base(e.Host.Args[0]), "-")
}
