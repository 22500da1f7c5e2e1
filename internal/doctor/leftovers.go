package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/orphans"
)

// mostNamed is how many processes are named.
const mostNamed = 8

// leftovers are the processes of dead runs.
func (e *examination) leftovers(ctx context.Context) {
	const name = "leftovers"
	report, err := orphans.Find(ctx, orphans.Options{Runs: e.Runs})
	if err != nil {
		e.fail(name, "see: snakepit orphans", "cannot look for what dead runs have left: %v", err)
		return
	}
	e.tell(judgeLeftovers(report, e.Config.Orphans))
	if len(report.Problems) > 0 {
		e.warn(name, "see: snakepit orphans --all -o wide", "not everything could be looked at: %s", strings.Join(report.Problems, "; "))
	}
}

func judgeLeftovers(r orphans.Report, setting string) Check {
	c := Check{Name: "leftovers", State: OK, Evidence: fmt.Sprintf("no orphans among %s", plural(r.Scanned, "process", "processes"))}
	if r.Unreadable > 0 {
		c.Evidence += fmt.Sprintf("; %d of other users could not be read", r.Unreadable)
	}
	dead, strays := list(r.Processes, orphans.Finding.Condemned), list(r.Processes, orphans.Finding.Stray)
	switch {
	case len(dead.pids) > 0:
		c.State = Fail
		c.Evidence = fmt.Sprintf("%s of %s: PID %s", plural(len(dead.pids), "orphan", "orphans"), runs(dead.runs), some(dead.pids))
		c.Hint = "end them: " + command("snakepit kill-orphans", dead.runs)
		if setting == config.OrphansKill {
			c.Hint += "; the next start does it, too"
		}
	case len(strays.pids) > 0:
		c.State = Warn
		c.Evidence = fmt.Sprintf("%s of living %s: PID %s", plural(len(strays.pids), "stray", "strays"), runs(strays.runs), some(strays.pids))
		c.Hint = "end them: " + command("snakepit kill-orphans", strays.runs) + " --strays"
	}
	return c
}

// named are processes, and the runs that they are of.
type named struct{ pids, runs []string }

func list(all []orphans.Finding, wanted func(orphans.Finding) bool) named {
	var n named
	for _, f := range all {
		if wanted(f) {
			n.pids = append(n.pids, fmt.Sprint(f.Process.PID))
			n.runs = append(n.runs, f.RunID)
		}
	}
	slices.Sort(n.runs)
	n.runs = slices.Compact(n.runs)
	return n
}

func runs(ids []string) string {
	if len(ids) == 1 {
		return "run " + ids[0]
	}
	return "the runs " + some(ids)
}

func command(text string, runs []string) string {
	if len(runs) == 1 {
		return text + " --run-id " + runs[0]
	}
	return text
}

func some(words []string) string {
	if len(words) > mostNamed {
		return strings.Join(words[:mostNamed], ", ") + fmt.Sprintf(" and %d more", len(words)-mostNamed)
	}
	return strings.Join(words, ", ")
}
