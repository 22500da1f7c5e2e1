package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/orphans"
)

type killOrphansOptions struct {
	env                 *Env
	output              *outputFlag
	runID               string
	dryRun, yes, strays bool
	grace               time.Duration
}

func newKillOrphans(env *Env) *cobra.Command {
	o := &killOrphansOptions{env: env}
	c := &cobra.Command{
		Use:   "kill-orphans",
		Short: "End the processes that dead runs have left behind",
		Long: `kill-orphans shows the orphans and why they are taken for orphans, asks, and ends
them: SIGTERM, then SIGKILL after the grace time, until nothing new appears. Each
process is judged again right before it is signalled. It also removes what the
dead run has left on disk: its socket and its registry.

Processes of living runs are left alone. Those which their living run does not
know (strays) are ended with --strays. Those of other users are ended only where
--run-id names their run, and only by who may: root.

A run that its guard is cleaning up is waited for.`,
		Example: `  snakepit kill-orphans
  snakepit kill-orphans --run-id demo --dry-run
  snakepit kill-orphans --yes --grace 10s`,
		Args: cobra.NoArgs,
	}
	o.output = addOutput(c, "table", "json")
	addOrphanRunFlag(c, &o.runID)
	c.Flags().BoolVarP(&o.dryRun, "dry-run", "n", false, "show what would be killed, and why; kill nothing")
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&o.strays, "strays", false, "also end strays of living runs")
	c.Flags().DurationVar(&o.grace, "grace", 2*time.Second, "time from SIGTERM to SIGKILL; 0 sends SIGKILL at once")
	c.RunE = func(c *cobra.Command, _ []string) error { return o.run(c.Context()) }
	return c
}

func (o *killOrphansOptions) run(ctx context.Context) error {
	if o.grace < 0 {
		return failf(exitUsage, "to skip the grace time: --grace 0", "cannot use --grace %v: it is negative", o.grace)
	}
	report, err := o.look(ctx)
	if err != nil {
		return err
	}
	warnAbout(o.env, report.Problems)
	o.warnOfSpared(report)
	plan := report.ToKill(o.strays)
	if err := o.refuse(report, plan); err != nil {
		return err
	}
	report.Processes = plan
	if o.dryRun {
		return o.printPlan(report)
	}
	if err := o.confirm(plan); err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	result := orphans.Kill(ctx, report, o.how())
	return o.printResult(report, result)
}

func (o *killOrphansOptions) how() orphans.KillOptions {
	return orphans.KillOptions{Runs: stateRoot(), Grace: o.grace, Strays: o.strays, Theirs: o.runID != ""}
}

// printPlan is the whole output of a dry run.
func (o *killOrphansOptions) printPlan(report orphans.Report) error {
	if o.output.value == "json" {
		return printJSON(o.env.Out, orphansDocumentOf(report))
	}
	if len(report.Processes) == 0 {
		fmt.Fprintln(o.env.Err, o.nothing(report))
		return nil
	}
	if err := o.showPlan(o.env.Out, report.Processes); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.env.Err, "would kill %s\n%s\n", count(len(report.Processes), "process", "processes"), newStyles(o.env.Err).next("do it: "+o.command("--yes")))
	return err
}

// showPlan names each process and the evidence against it.
func (o *killOrphansOptions) showPlan(w io.Writer, plan []orphans.Finding) error {
	width := screenOf(w).width
	v := view{styles: newStyles(w), now: o.env.Now(), wide: width == 0} // nothing is left out of what nobody has to look at
	for _, f := range plan {
		cells := v.orphanCells(f)
		line := fmt.Sprintf("PID %s  run %s  %s  up %s", cells["PID"], cells["RUN"], cells["VERDICT"], cells["AGE"])
		if len(f.Ports) > 0 {
			line += "  port " + cells["PORTS"]
		}
		line += "  " + cells["COMMAND"]
		if width > 0 {
			line = ansi.Truncate(line, width, "…")
		}
		if _, err := fmt.Fprintf(w, "%s\n%s\n", line, hanging("    ", o.atHome(cells["EVIDENCE"], width), width, v.styles.faint)); err != nil {
			return err
		}
	}
	return nil
}

// atHome shortens paths for who looks at them.
func (o *killOrphansOptions) atHome(text string, width int) string {
	home := o.env.Getenv("HOME")
	if width == 0 || !strings.HasPrefix(home, "/") || home == "/" {
		return text
	}
	return strings.ReplaceAll(text, `"`+home+"/", `"~/`)
}

// command is this command line again, with one more flag.
func (o *killOrphansOptions) command(flag string) string {
	words := []string{"snakepit kill-orphans"}
	if o.runID != "" {
		words = append(words, "--run-id "+o.runID)
	}
	if o.strays {
		words = append(words, "--strays")
	}
	return strings.Join(append(words, flag), " ")
}

// confirm shows the plan and asks.
func (o *killOrphansOptions) confirm(plan []orphans.Finding) error {
	if len(plan) == 0 {
		return nil
	}
	if err := o.showPlan(o.env.Err, plan); err != nil || o.yes {
		return err
	}
	what := count(len(plan), "process", "processes")
	if !isTerminalInput(o.env.In) {
		return failf(exitUsage, o.command("--yes"), "cannot kill %s: there is no terminal to ask, and no --yes", what)
	}
	these := "these"
	if len(plan) == 1 {
		these = "this"
	}
	fmt.Fprintf(o.env.Err, "kill %s %s? [y/N] ", these, what)
	answer, err := bufio.NewReader(o.env.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return failf(exitFailed, "", "nothing was killed: the answer was no")
}

func (o *killOrphansOptions) nothing(report orphans.Report) string {
	text := noOrphans(report)
	if o.runID != "" {
		text = fmt.Sprintf("no orphans of run %s: %s looked at", o.runID, count(report.Scanned, "process", "processes"))
	}
	return text
}

// failed turns what was not done into an error with its exit code.
func (o *killOrphansOptions) failed(result orphans.Result) error {
	for _, f := range result.Failed {
		var theirs *orphans.TheirsError
		switch {
		case errors.As(f.Err, &theirs):
			return notOurs(theirs)
		case errors.Is(f.Err, fs.ErrPermission):
			return failf(exitPermission, "do it as the user that the process belongs to, or as root", "cannot kill PID %d: %w", f.PID, f.Err)
		case errors.Is(f.Err, orphans.ErrAlive):
			return failf(exitAmbiguous, "see: snakepit list; stop it: snakepit stop --run-id ID", "cannot kill PID %d: %w", f.PID, f.Err)
		}
	}
	if n := len(result.Survivors); n > 0 {
		return failf(exitFailed, "look at them: snakepit orphans -o wide", "cannot kill all: %s alive: PID %s", count(n, "process is", "processes are"), joinInts(result.Survivors, ", "))
	}
	if len(result.Failed) > 0 {
		return failf(exitFailed, "", "cannot kill PID %d: %w", result.Failed[0].PID, result.Failed[0].Err)
	}
	return errors.Join(result.Errors...)
}
