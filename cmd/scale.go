package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

type scaleOptions struct {
	env         *Env
	runID, pool string
	workers     int
	timeout     time.Duration
}

func newScale(env *Env) *cobra.Command {
	o := &scaleOptions{env: env}
	c := &cobra.Command{
		Use:   "scale N",
		Short: "Have a pool keep N workers",
		Long: `Scale has a pool of a running run keep N workers, and waits until it does: it
starts more, until they are ready, or stops those with the highest numbers
(SIGTERM, then SIGKILL after the run's grace time).

When --timeout or Ctrl-C cuts it short, what was begun goes on by itself.`,
		Example: `  snakepit scale 16
  snakepit scale 2 --pool tools --run-id demo`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), args[0]) },
	}
	addRunFlag(c, &o.runID)
	c.Flags().StringVar(&o.pool, "pool", "", "the pool (default: the only one)")
	c.Flags().DurationVar(&o.timeout, "timeout", 0, "how long to wait (default: until it is done)")
	return c
}

func (o *scaleOptions) run(ctx context.Context, number string) error {
	var err error
	if o.workers, err = config.ParseWorkers(number); err != nil {
		return err
	}
	if o.timeout < 0 {
		return failf(exitUsage, "0 waits for ever", "cannot use --timeout %v: it is negative", o.timeout)
	}
	client, found, err := dialRun(o.runID)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := reach(ctx, client, found, "scale"); err != nil {
		return err
	}
	ctx, cancel := interruptible(ctx)
	defer cancel()
	if o.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	began := o.env.Now()
	show := &endings{env: o.env, styles: newStyles(o.env.Err)}
	summary, err := client.Scale(ctx, o.pool, o.workers, show.worker)
	if err != nil {
		return o.failed(summary, err)
	}
	fmt.Fprintln(o.env.Err, scaledLine(show.styles, summary, o.env.Now().Sub(began)))
	return show.verdict("workers of pool " + summary.Pool)
}

// scaledLine is what a pool has now.
func scaledLine(s *styles, summary *controlpb.ScaleSummary, took time.Duration) string {
	ready := fmt.Sprintf("%d/%d ready", summary.Ready, summary.Workers)
	if summary.Ready < summary.Workers {
		ready = s.warn.Render(ready)
	}
	line := fmt.Sprintf("%s  pool %s: %s", s.state("running"), s.title.Render(summary.Pool), ready)
	if summary.Before == summary.Workers {
		return line + "; it had as many before"
	}
	return fmt.Sprintf("%s in %.2f s; it had %d", line, took.Seconds(), summary.Before)
}

// failed says who did not become ready, and what a scale that was cut short
// means.
func (o *scaleOptions) failed(summary *controlpb.ScaleSummary, err error) error {
	const goesOn = "what was begun goes on by itself; see: snakepit list"
	var start *pool.StartError
	switch {
	case errors.As(err, &start):
		var b strings.Builder
		listFailures(&b, start.Failures)
		return failf(exitFailed, o.mend(start.Failures[0], summary),
			"cannot scale pool %q to %d: %d of its new workers failed, and stay as they are%s", start.Pool, o.workers, len(start.Failures), b.String())
	case errors.Is(err, context.DeadlineExceeded):
		return failf(exitTimeout, goesOn, "cannot scale to %d within %v", o.workers, o.timeout)
	case errors.Is(err, context.Canceled):
		return failf(exitFailed, goesOn, "cannot scale to %d: interrupted", o.workers)
	}
	return fmt.Errorf("cannot scale to %d: %w", o.workers, err)
}

func (o *scaleOptions) mend(first pool.Failure, summary *controlpb.ScaleSummary) string {
	hint := fmt.Sprintf("mend it, then: snakepit restart %s; or go back: snakepit scale %d --pool %s", first.Worker, summary.Before, summary.Pool)
	if first.Hint != "" {
		hint = first.Hint + "; then: snakepit restart " + first.Worker
	}
	return hint
}
