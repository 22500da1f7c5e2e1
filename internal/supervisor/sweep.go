package supervisor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/orphans"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// sweepGrace is from TERM to KILL: nobody waits for the answers of orphans.
const sweepGrace = 2 * time.Second

// swept is what dead runs had left when this one started.
type swept struct {
	found    map[string][]int // PIDs by run id
	killed   []int
	failures []string
}

// sweep looks for the orphans of dead runs in this state directory, and ends
// them if the settings say so. It does so before this run has anything that
// could be met. What it cannot do is no reason not to start.
func (s *supervisor) sweep(ctx context.Context) swept {
	var result swept
	if s.opts.Config.Orphans == config.OrphansIgnore {
		return result
	}
	report, err := orphans.Find(ctx, orphans.Options{Runs: s.opts.Runs})
	if err != nil {
		result.failures = []string{err.Error()}
		return result
	}
	// Those of other hosts, or of another state directory, are not ours to end
	// without being asked.
	report.Processes = slices.DeleteFunc(report.Processes, func(f orphans.Finding) bool {
		_, ours := report.Runs[f.RunID]
		return !ours || !f.Condemned()
	})
	result.found = map[string][]int{}
	for _, f := range report.Processes {
		result.found[f.RunID] = append(result.found[f.RunID], f.Process.PID)
	}
	if s.opts.Config.Orphans != config.OrphansKill || len(report.Processes) == 0 {
		return result
	}
	done := orphans.Kill(ctx, report, orphans.KillOptions{Runs: s.opts.Runs, Grace: sweepGrace, Source: telemetry.SourceStart})
	for _, k := range done.Killed {
		result.killed = append(result.killed, k.PID)
		if !slices.Contains(result.found[k.RunID], k.PID) {
			result.found[k.RunID] = append(result.found[k.RunID], k.PID) // born after the first look
		}
	}
	for _, f := range done.Failed {
		result.failures = append(result.failures, fmt.Sprintf("PID %d: %v", f.PID, f.Err))
	}
	for _, err := range done.Errors {
		result.failures = append(result.failures, err.Error())
	}
	return result
}

// tellSwept says what the sweep came to: to people, and in the events.
func (s *supervisor) tellSwept(result swept) {
	for _, failure := range result.failures {
		s.warn("cannot sweep up what dead runs have left", fmt.Errorf("%s", failure))
	}
	var pids []int
	var where []string
	for _, id := range slices.Sorted(maps.Keys(result.found)) {
		of := result.found[id]
		pids = append(pids, of...)
		where = append(where, fmt.Sprintf("PID %s of run %s", listed(of), id))
	}
	if len(pids) == 0 {
		return
	}
	count := len(pids)
	s.events.Emit(telemetry.Record{Event: telemetry.OrphansFound, Source: telemetry.SourceStart, Count: &count, PIDs: pids, Reason: "dead runs have left them"})
	text := fmt.Sprintf("dead runs have left %s: %s", processes(count), strings.Join(where, "; "))
	if s.opts.Config.Orphans == config.OrphansKill {
		killed := len(result.killed)
		s.events.Emit(telemetry.Record{Event: telemetry.EmergencyKill, Source: telemetry.SourceStart, Count: &killed, PIDs: result.killed})
		text = fmt.Sprintf("killed %d of %s that dead runs have left: %s", killed, processes(count), strings.Join(where, "; "))
	}
	s.tell(text)
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

func listed(numbers []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(slices.Sorted(slices.Values(numbers))), " ", ", "), "[]")
}
