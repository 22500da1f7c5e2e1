package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// The states of a run that its supervisor cannot say itself.
const (
	stateEnded   = "ended"
	stateUnknown = "unknown" // it lives and cannot be asked
)

type listOptions struct {
	env         *Env
	output      *outputFlag
	runID       string
	watch, tree bool
	interval    time.Duration
	// patience is how long one supervisor may take to answer. All are asked at
	// once, so that one that hangs delays the others by no more than this.
	patience time.Duration
}

func newList(env *Env) *cobra.Command {
	o := &listOptions{env: env, patience: 2 * time.Second}
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "Show the living runs and their workers",
		Long: `list asks the supervisor of every living run how it and its workers are. It
starts nothing and changes nothing.

CPU is in percent of one core: over the life of the process, or with --watch
since the last look. With -o wide, CALLS and FAILED are those of the worker through
all restarts, HEALTH is how long its process took for the last health RPC that it
answered, and ANSWERED when that was.`,
		Example: `  snakepit list
  snakepit list --watch
  snakepit list --tree --run-id demo
  snakepit list -o json | jq '.runs[].pools[].workers[].pid'`,
		Args: cobra.NoArgs,
	}
	o.output = addOutput(c, "table", "wide", "json")
	addRunFlag(c, &o.runID)
	c.Flags().Lookup("run-id").Usage = "show this run only, even if it has ended"
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "look again and again, until Ctrl-C")
	c.Flags().DurationVar(&o.interval, "interval", time.Second, "with --watch: the time between two looks")
	c.Flags().BoolVar(&o.tree, "tree", false, "show the processes: supervisor, guard, workers and their descendants")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.check(c.Flags().Changed("interval")); err != nil {
			return &usageError{err: err, command: c.CommandPath()}
		}
		outliveReader()
		if o.watch {
			return unlessReaderLeft(o.runWatch(c.Context()))
		}
		return unlessReaderLeft(o.runOnce(c.Context()))
	}
	return c
}

func (o *listOptions) check(intervalGiven bool) error {
	switch {
	case o.tree && o.output.value == "json":
		return errors.New("cannot list: --tree is for people, it has no -o json")
	case intervalGiven && !o.watch:
		return errors.New("cannot list: --interval needs --watch")
	case o.interval < 100*time.Millisecond:
		return fmt.Errorf("cannot list: --interval %s is shorter than 100ms", o.interval)
	}
	return nil
}

func (o *listOptions) runOnce(ctx context.Context) error {
	runs, warnings, err := o.look(ctx)
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		fmt.Fprintln(o.env.Err, newStyles(o.env.Err).warning(warning))
	}
	for _, run := range runs {
		run.measure(run.askedAt)
	}
	if o.output.value == "json" {
		return printJSON(o.env.Out, listDocument{SchemaVersion: 1, Runs: runs})
	}
	if len(runs) == 0 {
		fmt.Fprintln(o.env.Err, nothingAlive)
		return nil
	}
	text, warnings := o.draw(ctx, runs, screenOf(o.env.Out).width)
	for _, warning := range warnings {
		fmt.Fprintln(o.env.Err, newStyles(o.env.Err).warning(warning))
	}
	_, err = fmt.Fprintln(o.env.Out, text)
	return err
}

const nothingAlive = "no run is alive; start one: snakepit start --workers 8"

// draw makes the text for people, and warnings.
func (o *listOptions) draw(ctx context.Context, runs []*runStatus, width int) (string, []string) {
	v := view{styles: newStyles(o.env.Out), width: width, now: o.env.Now(), wide: o.output.value == "wide"}
	if !o.tree {
		return v.tables(runs), nil
	}
	processes, err := takeSnapshot(ctx)
	if err != nil {
		return v.trees(runs, processes), []string{"some processes are missing: " + err.Error()}
	}
	return v.trees(runs, processes), nil
}

// look asks the runs how they are. What could not be read of others is a
// warning, and no reason to show nothing.
func (o *listOptions) look(ctx context.Context) ([]*runStatus, []string, error) {
	found, problems, err := rundir.List(stateRoot())
	if err != nil {
		return nil, nil, err
	}
	var warnings []string
	for _, problem := range problems {
		warnings = append(warnings, problem.String())
	}
	found = slices.DeleteFunc(found, func(f rundir.Found) bool { return !f.Alive })
	if o.runID != "" {
		one, err := findRun(o.runID)
		if err != nil {
			return nil, nil, err
		}
		found = []rundir.Found{one}
	}
	runs := make([]*runStatus, len(found))
	var asked sync.WaitGroup
	for i, f := range found {
		asked.Go(func() { runs[i] = o.ask(ctx, f) })
	}
	asked.Wait()
	return runs, warnings, nil
}

// ask gets a run's state from its supervisor, and from its record where there
// is none that answers.
func (o *listOptions) ask(ctx context.Context, f rundir.Found) *runStatus {
	ctx, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	run := &runStatus{RunID: f.RunID, State: stateUnknown, Pools: []*poolStatus{}}
	if f.Record != nil {
		run.Supervisor = processStatus{PID: f.Record.Supervisor.PID, StartedAt: f.Record.Supervisor.StartedAt}
	}
	switch {
	case f.LockUnknown:
		run.Message = "its lock cannot be looked at, so nobody knows whether it lives"
		return run
	case !f.Alive:
		run.State, run.Message = stateEnded, howEnded(f.Record, o.env.Now().Location())
		return run
	case f.Record == nil:
		run.Message = "it has no record of how to reach its supervisor"
		return run
	}
	answer, err := status(ctx, f)
	if err != nil {
		run.Message = o.whyUnknown(err)
		return run
	}
	answer.askedAt = o.env.Now()
	return answer
}

// howEnded is what the record of an ended run says, in words.
func howEnded(record *rundir.Record, zone *time.Location) string {
	switch {
	case record == nil:
		return "nothing is recorded of its end"
	case record.End == nil && record.State == rundir.StateEnded:
		return "ended"
	case record.End == nil:
		return "its supervisor died, and nobody has cleaned up yet"
	}
	end := record.End
	text := map[string]string{
		rundir.EndStopped: "stopped", rundir.EndStartFailed: "failed to start", rundir.EndSupervisorDied: "its supervisor died",
	}[end.How]
	text = cmp.Or(text, end.How) + " at " + end.At.In(zone).Format(time.DateTime)
	if lived := end.At.Sub(record.Supervisor.StartedAt); lived > 0 && !record.Supervisor.StartedAt.IsZero() {
		text += ", after " + humanDuration(lived)
	}
	if end.Reason != "" {
		text += ": " + end.Reason
	}
	if len(end.Survivors) > 0 {
		text += fmt.Sprintf("; survivors: %v", end.Survivors)
	}
	return text
}

// whyUnknown names the reason, without what gRPC says around it.
func (o *listOptions) whyUnknown(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("the supervisor did not answer within %s", o.patience)
	case errors.Is(err, control.ErrUnreachable):
		return "the supervisor does not answer; it is about to listen, or about to end"
	}
	return strings.TrimSpace(err.Error())
}
