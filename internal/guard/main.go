package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Main is the guard process: it waits for the end of its supervisor, looks, and
// ends what it finds. In a clean stop its verdict goes to out, as JSON. It is
// deaf to the signals that end a terminal's or a service's processes.
func Main(in io.Reader, out io.Writer, runsRoot, runID string) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE)
	word, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot wait for the supervisor: %w", err)
	}
	ctx := context.Background()
	if word == wordClean {
		return confirm(ctx, out, runsRoot, runID)
	}
	return takeOver(ctx, runsRoot, runID)
}

// dying is how long a supervisor may take to die.
const dying = 2 * time.Second

// grace is from TERM to KILL: nobody waits for these workers' answers.
const grace = 2 * time.Second

// killWait is how long the kernel may take to end a process after KILL.
const killWait = 5 * time.Second

// confirm is the look after a clean stop. The supervisor lives and waits.
func confirm(ctx context.Context, out io.Writer, runsRoot, runID string) error {
	verdict := sweep(ctx, runID, nil)
	events, err := telemetry.Open(rundir.EventsPath(filepath.Join(runsRoot, runID)), runID, nil)
	if err == nil {
		emit(events, verdict, "this indicates a bug in the normal shutdown")
		err = events.Close()
	}
	return errors.Join(err, json.NewEncoder(out).Encode(verdict))
}

// takeOver is the cleanup after the supervisor has died. It acts only with the
// run's lock: whoever else has it has taken the run over, and a new run of this
// id must not lose its workers to us.
func takeOver(ctx context.Context, runsRoot, runID string) error {
	// The kernel closes what a dying process had open one after the other, so
	// its pipe may end before its lock does. Whether it did, Adopt tells.
	limited, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
	_ = rundir.WaitEnded(limited, filepath.Join(runsRoot, runID))
	dir, err := rundir.Adopt(ctx, runsRoot, runID)
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, problem := rundir.ReadRegistry(dir.Path())
	verdict := sweep(ctx, runID, entries)
	if problem != nil {
		_, failed := rundir.SetAside(rundir.RegistryPath(dir.Path()))
		verdict.Errors = append(verdict.Errors, errors.Join(problem, failed).Error())
	}
	events, err := telemetry.Open(dir.EventsPath(), runID, nil)
	if err == nil {
		emit(events, verdict, "the supervisor died")
		err = events.Close()
	}
	return errors.Join(err, recordDeath(dir, runsRoot, runID, verdict))
}

// sweep ends what carries the run's marker, and what the registry names.
func sweep(ctx context.Context, runID string, entries []rundir.Entry) Verdict {
	options := procscan.EndOptions{Grace: grace, KillWait: killWait}
	var named []procscan.Target
	for _, e := range entries {
		id := procscan.ID{PID: e.PID, Start: e.Start, Boot: e.Boot}
		if alive, err := id.Alive(); err == nil && alive {
			named = append(named, procscan.Target{ID: id, RunID: runID, TrustIdentity: true})
		}
	}
	ended := procscan.End(ctx, named, options)
	more, left, err := procscan.EndRun(ctx, runID, nil, options)
	verdict := verdictOf(append(ended, more...), left)
	if err != nil {
		verdict.Errors = append(verdict.Errors, err.Error())
	}
	return verdict
}

// verdictOf counts each process once: one that the registry names and nobody
// could end is found again by its marker, and the last word counts.
func verdictOf(ended []procscan.Ended, left []procscan.Process) Verdict {
	found, killed, alive := map[int]bool{}, map[int]bool{}, map[int]bool{}
	var problems []string
	for _, e := range ended {
		found[e.ID.PID] = true
		alive[e.ID.PID] = e.Alive
		killed[e.ID.PID] = !e.Alive && e.Signal != ""
		if e.Err != nil {
			problems = append(problems, fmt.Sprintf("PID %d: %v", e.ID.PID, e.Err))
		}
	}
	for _, p := range left {
		found[p.PID], alive[p.PID] = true, true
	}
	return Verdict{Found: pids(found), Killed: pids(killed), Survivors: pids(alive), Errors: problems}
}

// pids lists those that hold, in order; never nil, for JSON.
func pids(holds map[int]bool) []int {
	list := []int{}
	for pid, yes := range holds {
		if yes {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

// emit tells what was found, each with its count.
func emit(events *telemetry.Log, v Verdict, reason string) {
	if len(v.Found) == 0 && len(v.Errors) == 0 {
		zero := 0
		events.Emit(telemetry.Record{Event: telemetry.CleanupSuccess, Count: &zero, Reason: "no orphaned processes"})
		return
	}
	found, killed := len(v.Found), len(v.Killed)
	events.Emit(telemetry.Record{Event: telemetry.OrphansFound, Count: &found, PIDs: v.Found, Reason: reason})
	events.Emit(telemetry.Record{Event: telemetry.EmergencyKill, Count: &killed, PIDs: v.Killed})
}

// recordDeath writes how the run ended, and removes what it left: nobody is
// there to do it.
func recordDeath(dir *rundir.Run, runsRoot, runID string, v Verdict) error {
	found, err := rundir.Open(runsRoot, runID)
	if err != nil {
		return err
	}
	record := rundir.Record{} // the supervisor may have died before it wrote one
	if found.Record != nil {
		record = *found.Record
	}
	record.State = rundir.StateEnded
	record.End = &rundir.End{
		At: time.Now().UTC(), How: rundir.EndSupervisorDied, Reason: "the supervisor ended without stopping the run",
		Found: v.Found, Killed: v.Killed, Survivors: v.Survivors,
	}
	err = dir.WriteRecord(record)
	if record.Socket != "" {
		err = errors.Join(err, remove(record.Socket))
	}
	if len(v.Survivors) == 0 {
		err = errors.Join(err, remove(rundir.RegistryPath(dir.Path())))
	}
	return err
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot clean up after the supervisor: %w", err)
	}
	return nil
}
