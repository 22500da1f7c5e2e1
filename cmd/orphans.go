package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/orphans"
)

type orphansOptions struct {
	env      *Env
	output   *outputFlag
	runID    string
	all      bool
	exitCode bool
	watch    bool
	interval time.Duration
}

func newOrphans(env *Env) *cobra.Command {
	o := &orphansOptions{env: env}
	c := &cobra.Command{
		Use:   "orphans",
		Short: "Show the processes that runs have left behind",
		Long: `orphans looks at every process of the machine for those that carry the marker of
a run, and judges them. It changes nothing, and needs no files of the run.

  orphan   its run has no living supervisor
  stray    its run lives, but does not know it
  managed  its run lives and knows it                     (only with --all)
  foreign  nothing proves that it may be ended            (only with --all)

A process without a marker is an orphan as well where it descends from an orphan,
or is in the process group of one. Processes of other users are foreign unless
--run-id names their run. A zombie is dead already, and is shown with --all.

With -o json, "scanned" is the number of processes looked at, and "unreadable" that
of those among them which could not be read: they may be anything.`,
		Example: `  snakepit orphans
  snakepit orphans --run-id demo -o wide
  snakepit orphans --exit-code || snakepit kill-orphans --yes`,
		Args: cobra.NoArgs,
	}
	o.output = addOutput(c, "table", "wide", "json")
	addOrphanRunFlag(c, &o.runID)
	c.Flags().BoolVarP(&o.all, "all", "a", false, "show every process that names a run, whatever the verdict")
	c.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with code 10 when there are orphans or strays")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "look again and again, until Ctrl-C")
	c.Flags().DurationVar(&o.interval, "interval", time.Second, "with --watch: the time between two looks")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.check(c.Flags().Changed("interval")); err != nil {
			return &usageError{err: err, command: c.CommandPath()}
		}
		outliveReader()
		if o.watch {
			return unlessReaderLeft(o.runWatch(c.Context()))
		}
		return unlessReaderLeft(o.run(c.Context()))
	}
	return c
}

// addOrphanRunFlag: the run need not exist any more.
func addOrphanRunFlag(c *cobra.Command, target *string) {
	addRunFlag(c, target)
	c.Flags().Lookup("run-id").Usage = "processes of this run only"
}

func (o *orphansOptions) check(intervalGiven bool) error {
	switch {
	case o.watch && o.exitCode:
		return errors.New("cannot look for orphans: --watch has no end, so --exit-code has no use")
	case intervalGiven && !o.watch:
		return errors.New("cannot look for orphans: --interval needs --watch")
	case o.interval < 100*time.Millisecond:
		return fmt.Errorf("cannot look for orphans: --interval %s is shorter than 100ms", o.interval)
	}
	return nil
}

func (o *orphansOptions) find(ctx context.Context) (orphans.Report, error) {
	return orphans.Find(ctx, orphans.Options{Runs: stateRoot(), RunID: o.runID, All: o.all, Theirs: o.runID != ""})
}

func (o *orphansOptions) run(ctx context.Context) error {
	report, err := o.find(ctx)
	if err != nil {
		return err
	}
	warnAbout(o.env, report.Problems)
	if err := o.print(report); err != nil {
		return err
	}
	if n := len(report.ToKill(true)); o.exitCode && n > 0 {
		return &silent{exitOrphans}
	}
	return nil
}

func warnAbout(env *Env, problems []string) {
	for _, problem := range problems {
		fmt.Fprintln(env.Err, newStyles(env.Err).warning(problem))
	}
}

func (o *orphansOptions) print(report orphans.Report) error {
	if o.output.value == "json" {
		return printJSON(o.env.Out, orphansDocumentOf(report))
	}
	if len(report.Processes) > 0 {
		if _, err := fmt.Fprintln(o.env.Out, o.draw(report, screenOf(o.env.Out).width)); err != nil {
			return err
		}
	}
	fmt.Fprintln(o.env.Err, newStyles(o.env.Err).lastLine(report))
	return nil
}

func (o *orphansOptions) draw(report orphans.Report, width int) string {
	v := view{styles: newStyles(o.env.Out), width: width, now: o.env.Now(), wide: o.output.value == "wide"}
	return v.styles.table(v.orphanColumns(report.Processes))
}

func (o *orphansOptions) runWatch(ctx context.Context) error {
	return watch(ctx, o.env, o.interval, func(ctx context.Context, first bool) error {
		report, err := o.find(ctx)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if o.output.value == "json" {
			warnAbout(o.env, report.Problems)
			return json.NewEncoder(o.env.Out).Encode(orphansDocumentOf(report))
		}
		var lines []string
		if len(report.Processes) > 0 {
			lines = append(lines, o.draw(report, screenOf(o.env.Out).width), "")
		}
		for _, problem := range report.Problems {
			lines = append(lines, newStyles(o.env.Out).warning(problem))
		}
		return showLook(o.env, o.interval, strings.Join(append(lines, newStyles(o.env.Out).lastLine(report)), "\n"), first)
	})
}

// lastLine says what to type, or what was not found.
func (s *styles) lastLine(report orphans.Report) string {
	found, strays := report.ToKill(false), report.ToKill(true)
	var runs []string
	for _, f := range strays {
		runs = append(runs, f.RunID)
	}
	runs = slices.Compact(runs)
	command := "snakepit kill-orphans"
	if len(runs) == 1 {
		command += " --run-id " + runs[0]
	}
	switch {
	case len(found) > 0:
		return s.next("kill them: " + command)
	case len(strays) > 0:
		return "no orphans\n" + s.next("kill the strays: "+command+" --strays")
	}
	return noOrphans(report)
}

func noOrphans(report orphans.Report) string {
	text := fmt.Sprintf("no orphans among %s", count(report.Scanned, "process", "processes"))
	if report.Unreadable > 0 {
		text += fmt.Sprintf("; %s of other users could not be read", count(report.Unreadable, "process", "processes"))
	}
	return text
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
