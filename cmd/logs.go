package cmd

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// allLines is the -n that asks for every line.
const allLines = math.MaxInt

// supervisorLog has a log of its own, which is shown only when it is named.
const supervisorLog = "supervisor"

type logsOptions struct {
	env        *Env
	runID      string
	workers    []string
	follow     bool
	lines      lineCount
	timestamps bool
}

func newLogs(env *Env) *cobra.Command {
	o := &logsOptions{env: env, lines: 50}
	c := &cobra.Command{
		Use:   "logs [WORKER...]",
		Short: "Show what the workers of a run have printed",
		Long: `logs shows the last lines that the workers of a run printed to stdout and stderr,
in the order of time, each behind its worker's name. Without names it shows every
worker; "supervisor" shows what the supervisor itself had to say.

Without --run-id it takes the only living run, or, when none lives, the one that
ended last. With --follow it goes on until the run ends, or until Ctrl-C.`,
		Example: `  snakepit logs
  snakepit logs default-3 --follow
  snakepit logs -n all --timestamps --run-id demo
  snakepit logs supervisor`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return o.complete(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.workers = args
			outliveReader()
			return unlessReaderLeft(o.run(c.Context()))
		},
	}
	addRunFlag(c, &o.runID)
	c.Flags().Lookup("run-id").Usage = "the run, living or ended; without it, the only living one, or the last that ended"
	c.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on with what they print from now on")
	c.Flags().VarP(&o.lines, "tail", "n", `the number of last lines of each worker, or "all"`)
	c.Flags().BoolVarP(&o.timestamps, "timestamps", "t", false, "show when each line was printed")
	return c
}

// lineCount is -n: a number that is not negative, or "all".
type lineCount int

func (n *lineCount) Type() string { return "lines" }

func (n *lineCount) String() string {
	if *n == allLines {
		return "all"
	}
	return strconv.Itoa(int(*n))
}

func (n *lineCount) Set(text string) error {
	if text == "all" {
		*n = allLines
		return nil
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 {
		return fmt.Errorf(`it takes a number that is not negative, or "all"`)
	}
	*n = lineCount(count)
	return nil
}

func (o *logsOptions) run(ctx context.Context) error {
	found, err := findRunOrLast(o.env, o.runID, "logs")
	if err != nil {
		return err
	}
	folder := logFolder{dir: found.Dir, chosen: o.workers}
	names, err := folder.names()
	if err != nil {
		return err
	}
	if unknown := notAmong(o.workers, names); len(unknown) > 0 {
		return unknownWorker("logs", found.RunID, unknown, names)
	}
	printer := newLogPrinter(o.env.Out, o.timestamps, names)
	if o.follow && found.Alive {
		follower := &logFollower{logFolder: folder, tails: map[string]*tail{}}
		defer follower.close()
		dir := filepath.Dir(rundir.LogPath(found.Dir, "any"))
		return followRun(ctx, o.env, found, dir, follower, int(o.lines), printer.print)
	}
	lines, err := folder.last(names, int(o.lines))
	if err != nil {
		return err
	}
	return printer.print(lines)
}

// notAmong quotes the wanted that are not among the names.
func notAmong(wanted, names []string) []string {
	var unknown []string
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			unknown = append(unknown, strconv.Quote(name))
		}
	}
	return unknown
}

// unknownWorker is the refusal to show the logs, or the events, of nobody.
func unknownWorker(what, runID string, unknown, names []string) error {
	hint := "nothing of this run has " + what + " yet"
	if len(names) > 0 {
		hint = "there are: " + strings.Join(names, ", ")
	}
	return failf(exitNothing, hint, "cannot show the %s of %s: run %q has none of that name", what, strings.Join(unknown, ", "), runID)
}

// findRunOrLast is the run whose logs or events are meant. It may have ended:
// that is when they are wanted most.
func findRunOrLast(env *Env, id, what string) (rundir.Found, error) {
	if id != "" {
		return findRun(id)
	}
	found, _, err := rundir.List(stateRoot())
	if err != nil {
		return rundir.Found{}, err
	}
	if len(found) == 0 || slices.ContainsFunc(found, func(f rundir.Found) bool { return f.Alive }) {
		return findRun("")
	}
	last := slices.MaxFunc(found, func(a, b rundir.Found) int { return endedAt(a).Compare(endedAt(b)) })
	fmt.Fprintf(env.Err, "no run is alive; these are the %s of %s: %s\n", what, last.RunID, howEnded(last.Record, env.Now().Location()))
	return last, nil
}

// endedAt is when a run ended, as far as anything tells.
func endedAt(f rundir.Found) time.Time {
	if f.Record != nil && f.Record.End != nil {
		return f.Record.End.At
	}
	if info, err := os.Stat(f.Dir); err == nil {
		return info.ModTime()
	}
	return time.Time{}
}

func (o *logsOptions) complete() []string {
	found, err := findRun(o.runID)
	if err != nil {
		return nil // a shell completion has nobody to tell
	}
	names, _ := logFolder{dir: found.Dir, chosen: []string{supervisorLog}}.names()
	return names
}
