package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/internal/rundir"
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
		Use:   "stop [WORKER...]",
		Short: "Stop a run, and look for what survived; or stop single workers",
		Long: `Stop asks every worker of a run to end (SIGTERM), kills what is left after the
grace time (SIGKILL), and then looks for survivors: by the run's marker, by
process group, and by port. It reports success only when it found none; otherwise
it lists them and exits 1.

With worker ids it stops these, and the run goes on without them: they stay in
the list, as stopped, until "snakepit restart" brings them back.`,
		Example: `  snakepit stop
  snakepit stop --run-id demo --grace 30s
  snakepit stop --force
  snakepit stop default-2 default-3`,
		ValidArgsFunction: completeWorkers(&o.runID),
		RunE: func(c *cobra.Command, workers []string) error {
			o.force = o.force || c.Flags().Changed("grace") && o.grace == 0
			return o.run(c.Context(), workers)
		},
	}
	addRunFlag(c, &o.runID)
	c.Flags().DurationVar(&o.grace, "grace", 0, "time from SIGTERM to SIGKILL (default: the run's own)")
	c.Flags().BoolVar(&o.force, "force", false, "SIGKILL at once")
	return c
}

func (o *stopOptions) run(ctx context.Context, workers []string) error {
	if o.grace < 0 {
		return failf(exitUsage, "to skip the grace time: --force", "cannot use --grace %v: it is negative", o.grace)
	}
	client, found, err := dialRun(o.runID)
	if err != nil {
		return err
	}
	defer client.Close()
	var hangs *failure
	if _, err := reach(ctx, client, found, "stop"); errors.As(err, &hangs) {
		return err // whatever else is wrong, such as its version: it may still stop
	}
	if len(workers) > 0 {
		return o.stopWorkers(ctx, client, found, workers)
	}
	styles := newStyles(o.env.Err)
	summary, err := client.Stop(ctx, o.grace, o.force, func(w *controlpb.WorkerStopped) {
		fmt.Fprintln(o.env.Err, stoppedLine(styles, w.Id, int(w.Pid), w.Exit, w.Signal, w.Took.AsDuration()))
	})
	if err != nil {
		return unreached(found, "stop", err)
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

// stoppedLine is how one worker ended.
func stoppedLine(s *styles, worker string, pid int, exit, signal string, took time.Duration) string {
	if pid == 0 {
		return fmt.Sprintf("%s  %s  had no process", s.state("stopped"), worker)
	}
	after := ""
	if signal != "" {
		after = " after " + signal
	}
	line := fmt.Sprintf("%s  %s  PID %d  %s%s  in %s", s.state("stopped"), worker, pid, exit, after, tookText(took))
	if signal == "KILL" {
		return s.warn.Render(line)
	}
	return line
}

// survivorText names a process, or a port that is held.
func survivorText(s *controlpb.Survivor) string {
	if s.Pid == 0 {
		return s.What
	}
	return fmt.Sprintf("survivor: PID %d: %s", s.Pid, s.What)
}

const lookAtWhatIsLeft = "look at what is left: ps -o pid,ppid,stat,args -p PID; end it: kill -9 PID"

// printSummary says what was found when everything was stopped, and fails when
// anything was, or when anything went wrong on the way.
func printSummary(env *Env, run config.Config, summary *controlpb.StopSummary) error {
	styles := newStyles(env.Err)
	guard, runID := summary.GetGuard(), run.RunID
	switch {
	case guard == nil && run.EmergencyCleanup == config.CleanupOff:
		// the supervisor has looked, and nobody else was to
	case guard == nil:
		fmt.Fprintln(env.Err, styles.warning("the guard did not answer; the supervisor's own look stands alone"))
	case len(guard.Found) > 0 && run.EmergencyCleanup == config.CleanupReport:
		fmt.Fprintln(env.Err, styles.warning(fmt.Sprintf("the guard found %d orphaned processes and has left them alone, as it was told to: PID %v; this indicates a bug in the normal shutdown",
			len(guard.Found), guard.Found)))
	case len(guard.Found) > 0:
		fmt.Fprintln(env.Err, styles.warning(fmt.Sprintf("the guard found %d orphaned processes and killed %d: PID %v; this indicates a bug in the normal shutdown",
			len(guard.Found), len(guard.Killed), guard.Found)))
	}
	for _, note := range summary.Notes {
		fmt.Fprintln(env.Err, styles.warning(note))
	}
	left := problemsOf(summary)
	for _, problem := range left {
		fmt.Fprintln(env.Err, styles.bad.Render("✗ "+problem))
	}
	if len(left) > 0 {
		return failf(exitFailed, lookAtWhatIsLeft, "run %q stopped, but not cleanly: see the %d lines above", runID, len(left))
	}
	fmt.Fprintf(env.Err, "%s  run %s stopped. %s\n", styles.state("stopped"), styles.title.Render(runID), lastWord(guard))
	return nil
}

// problemsOf are who is left, and what went wrong on the way.
func problemsOf(summary *controlpb.StopSummary) []string {
	var problems []string
	for _, survivor := range summary.Survivors {
		problems = append(problems, survivorText(survivor))
	}
	for _, pid := range summary.Guard.GetSurvivors() {
		problems = append(problems, fmt.Sprintf("survivor: PID %d: the guard has not ended it", pid))
	}
	return append(append(problems, summary.Errors...), summary.Guard.GetErrors()...)
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
