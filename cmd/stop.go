package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

type stopOptions struct {
	env   *Env
	runID string
	grace time.Duration
	force bool
}

func newStop(env *Env) *cobra.Command {
	o := &stopOptions{env: env}
	c := &cobra.Command{
		Use:   "stop",
		Short: "Stop a run, and look for what survived",
		Long: `Stop asks every worker of a run to end (SIGTERM), kills what is left after the
grace time (SIGKILL), and then looks for survivors: by the run's marker, by
process group, and by port. It reports success only when it found none; otherwise
it lists them and exits 1.`,
		Example: `  snakepit stop
  snakepit stop --run-id demo --grace 30s
  snakepit stop --force`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.force = o.force || c.Flags().Changed("grace") && o.grace == 0
			return o.run(c.Context())
		},
	}
	addRunFlag(c, &o.runID)
	c.Flags().DurationVar(&o.grace, "grace", 0, "time from SIGTERM to SIGKILL (default: the run's own)")
	c.Flags().BoolVar(&o.force, "force", false, "SIGKILL at once")
	return c
}

func (o *stopOptions) run(ctx context.Context) error {
	if o.grace < 0 {
		return failf(exitUsage, "to skip the grace time: --force", "cannot use --grace %v: it is negative", o.grace)
	}
	client, found, err := dialRun(o.runID)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := o.reach(ctx, client, found); err != nil {
		return err
	}
	styles := newStyles(o.env.Err)
	summary, err := client.Stop(ctx, o.grace, o.force, func(w *controlpb.WorkerStopped) {
		fmt.Fprintln(o.env.Err, stoppedLine(styles, w.Id, int(w.Pid), w.Exit, w.Signal, w.Took.AsDuration()))
	})
	if err != nil {
		return o.lost(found, err)
	}
	if err := rundir.WaitEnded(ctx, found.Dir); err != nil {
		return fmt.Errorf("cannot see the supervisor of run %q end: %w", found.RunID, err)
	}
	settings := config.Config{RunID: found.RunID}
	if found.Record != nil {
		_ = json.Unmarshal(found.Record.Config, &settings) // of another version perhaps; then the defaults hold
	}
	return printSummary(o.env, settings, summary)
}

// answerTime is how long a supervisor may take to answer before it is asked to
// stop, which may take as long as its workers do.
const answerTime = 5 * time.Second

// reach refuses to wait for a supervisor that hangs. One of another version
// answers, if only that it is.
func (o *stopOptions) reach(ctx context.Context, client *control.Client, found rundir.Found) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := client.Status(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return failf(exitTimeout, o.insist(found), "cannot stop run %q: its supervisor does not answer within %v", found.RunID, answerTime)
	case errors.Is(err, control.ErrUnreachable):
		return o.lost(found, err)
	}
	return nil
}

// lost is a stop whose end nobody reported.
func (o *stopOptions) lost(found rundir.Found, err error) error {
	if errors.Is(err, control.ErrUnreachable) {
		return failf(exitFailed, o.insist(found), "cannot stop run %q: %w", found.RunID, err)
	}
	return fmt.Errorf("cannot stop run %q: %w", found.RunID, err)
}

// insist says what helps when the supervisor does not. It names no PID that may
// be another's by now.
func (o *stopOptions) insist(found rundir.Found) string {
	if found.Record != nil {
		s := found.Record.Supervisor
		if alive, err := (procscan.ID{PID: s.PID, Start: s.Start, Boot: s.Boot}).Alive(); err == nil && alive {
			return fmt.Sprintf("look at it: ps -o pid,stat,wchan,args -p %d; if it hangs: kill -9 %d, and its guard ends the workers", s.PID, s.PID)
		}
	}
	return fmt.Sprintf("the supervisor has ended; see what it left: snakepit orphans --run-id %s", found.RunID)
}

// stoppedLine is how one worker ended.
func stoppedLine(s *styles, worker string, pid int, exit, signal string, took time.Duration) string {
	if pid == 0 {
		return fmt.Sprintf("%s  %s  had no process", s.state("stopped"), worker)
	}
	after := ""
	if signal != "" {
		after = " after " + signal
	}
	line := fmt.Sprintf("%s  %s  PID %d  %s%s  in %s", s.state("stopped"), worker, pid, exit, after, took.Round(time.Millisecond))
	if signal == "KILL" {
		return s.warn.Render(line)
	}
	return line
}

// printSummary says what was found when everything was stopped, and fails when
// anything was, or when anything went wrong on the way.
func printSummary(env *Env, run config.Config, summary *controlpb.StopSummary) error {
	styles := newStyles(env.Err)
	guard, runID := summary.GetGuard(), run.RunID
	switch {
	case guard == nil && run.EmergencyCleanup == config.CleanupOff:
		// the supervisor has looked, and nobody else was to
	case guard == nil:
		fmt.Fprintln(env.Err, styles.warn.Render("the guard did not answer; the supervisor's own look stands alone"))
	case len(guard.Found) > 0 && run.EmergencyCleanup == config.CleanupReport:
		fmt.Fprintln(env.Err, styles.warn.Render(fmt.Sprintf("the guard found %d orphaned processes and has left them alone, as it was told to: PID %v; this indicates a bug in the normal shutdown",
			len(guard.Found), guard.Found)))
	case len(guard.Found) > 0:
		fmt.Fprintln(env.Err, styles.warn.Render(fmt.Sprintf("the guard found %d orphaned processes and killed %d: PID %v; this indicates a bug in the normal shutdown",
			len(guard.Found), len(guard.Killed), guard.Found)))
	}
	left := 0
	complain := func(format string, args ...any) {
		left++
		fmt.Fprintln(env.Err, styles.bad.Render("✗ "+fmt.Sprintf(format, args...)))
	}
	for _, survivor := range summary.Survivors {
		if survivor.Pid == 0 {
			complain("%s", survivor.What)
			continue
		}
		complain("survivor: PID %d: %s", survivor.Pid, survivor.What)
	}
	for _, pid := range guard.GetSurvivors() {
		complain("survivor: PID %d: the guard has not ended it", pid)
	}
	for _, text := range append(summary.Errors, guard.GetErrors()...) {
		complain("%s", text)
	}
	if left > 0 {
		return failf(exitFailed, "look at what is left: ps -o pid,ppid,stat,args -p PID; end it: kill -9 PID", "run %q stopped, but not cleanly: see the %d lines above", runID, left)
	}
	fmt.Fprintf(env.Err, "%s  run %s stopped. %s\n", styles.state("stopped"), styles.title.Render(runID), lastWord(guard))
	return nil
}

// lastWord claims no more than was seen, and by whom.
func lastWord(guard *controlpb.Cleanup) string {
	switch {
	case guard == nil:
		return "The supervisor has looked and found no survivors; no guard has"
	case len(guard.Found) > 0:
		return "Nothing is left, but supervision had not cleaned up"
	}
	return "No orphaned processes: supervision cleaned up"
}
