package cmd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

type restartOptions struct {
	env     *Env
	output  *outputFlag
	runID   string
	all     bool
	restart control.Restart
	timeout time.Duration
}

func newRestart(env *Env) *cobra.Command {
	o := &restartOptions{env: env}
	c := &cobra.Command{
		Use:   "restart WORKER... | --all",
		Short: "Restart workers, each on its own port",
		Long: `Restart ends a worker's process (SIGTERM, then SIGKILL after the grace time), waits
until what it held is released, starts another on the same port, and waits until
that one is ready. No more than --rolling workers of a pool are out of service at
once; those that are not ready come first.

A worker can be restarted in any state: also one that has failed, that waits for
its port or its next try, or that was stopped.

If a port does not come free within --release-timeout, restart says who holds it
and exits 5 (cleanup_timeout); the worker comes back by itself as soon as the port
is free. If a new process does not become ready, it shows what that one printed,
and exits 1. Once --rolling workers that had served cannot be restarted, the others
are left alone: not tried.

When --timeout or Ctrl-C cuts it short, nothing more is begun, and what is under
way goes on by itself.`,
		Example: `  snakepit restart default-3
  snakepit restart default-3 -o json
  snakepit restart --all --rolling 2 --run-id demo
  snakepit restart default-0 --force`,
		ValidArgsFunction: completeWorkers(&o.runID),
	}
	o.output = addOutput(c, "table", "json")
	addRunFlag(c, &o.runID)
	flags := c.Flags()
	flags.BoolVar(&o.all, "all", false, "every worker of the run, or of --pool")
	flags.StringVar(&o.restart.Pool, "pool", "", "only workers of this pool")
	flags.IntVar(&o.restart.Rolling, "rolling", 1, "how many workers of a pool may be out of service at once")
	flags.DurationVar(&o.timeout, "timeout", 0, "how long to wait (default: until it is done)")
	flags.DurationVar(&o.restart.ReleaseTimeout, "release-timeout", 0, "how long a port may take to come free (default: the run's own, 2s)")
	flags.DurationVar(&o.restart.Grace, "grace", 0, "time from SIGTERM to SIGKILL (default: the run's own)")
	flags.BoolVar(&o.restart.Force, "force", false, "SIGKILL at once")
	c.RunE = func(c *cobra.Command, workers []string) error {
		o.restart.Workers = workers
		o.restart.Force = o.restart.Force || flags.Changed("grace") && o.restart.Grace == 0
		if err := o.check(flags.Changed("release-timeout")); err != nil {
			return err
		}
		return o.run(c.Context())
	}
	return c
}

// check refuses what makes no sense before a run is looked for.
func (o *restartOptions) check(releaseGiven bool) error {
	r := o.restart
	switch {
	case !o.all && len(r.Workers) == 0:
		return failf(exitUsage, "name workers: snakepit restart default-0; or restart every one: snakepit restart --all", "cannot restart: no worker is named")
	case o.all && len(r.Workers) > 0:
		return failf(exitUsage, "leave out one of both", "cannot restart: workers are named, and --all is given")
	case r.Rolling < 1:
		return failf(exitUsage, "to restart one after the other: --rolling 1", "cannot use --rolling %d: it is less than 1", r.Rolling)
	case r.Grace < 0:
		return failf(exitUsage, "to skip the grace time: --force", "cannot use --grace %v: it is negative", r.Grace)
	case releaseGiven && r.ReleaseTimeout <= 0:
		return failf(exitUsage, "give a duration such as 2s, or leave it out", "cannot use --release-timeout %v: it is not longer than zero", r.ReleaseTimeout)
	case o.timeout < 0:
		return failf(exitUsage, "0 waits for ever", "cannot use --timeout %v: it is negative", o.timeout)
	}
	return nil
}

func (o *restartOptions) run(ctx context.Context) error {
	client, found, err := dialRun(o.runID)
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := reach(ctx, client, found, "restart workers of")
	if err != nil {
		return err
	}
	ctx, cancel := interruptible(ctx)
	defer cancel()
	if o.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	t := &restartTally{asked: o.asked(answer), timeout: o.timeout}
	s := newStyles(o.env.Err)
	t.cut = client.Restart(ctx, o.restart, func(r pool.Restarted) {
		t.ended = append(t.ended, r)
		fmt.Fprintln(o.env.Err, restartedLine(s, r))
	})
	return o.finish(t)
}

// asked are the workers that are to be restarted, by what the supervisor says
// before it is.
func (o *restartOptions) asked(answer *controlpb.StatusResponse) []string {
	if o.all {
		return statusOf(answer).workerIDs(o.restart.Pool)
	}
	var ids []string
	for _, id := range o.restart.Workers {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// finish shows what became of the workers. Where nothing was done, the error
// says all there is.
func (o *restartOptions) finish(t *restartTally) error {
	if t.cut != nil && len(t.ended) == 0 && !t.left() {
		return fmt.Errorf("cannot restart: %w", t.cut)
	}
	var err error
	switch {
	case o.output.value == "json":
		err = printJSON(o.env.Out, t.document())
	case len(t.ended) > 0:
		_, err = fmt.Fprintln(o.env.Out, newStyles(o.env.Out).restarts(t.ended, screenOf(o.env.Out).width))
	}
	if failed := t.verdict(); failed != nil {
		return failed // it matters more than who reads the table
	}
	return err
}
