package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

type eventsOptions struct {
	env     *Env
	runID   string
	workers []string
	follow  bool
	lines   lineCount
	output  *outputFlag
}

func newEvents(env *Env) *cobra.Command {
	o := &eventsOptions{env: env, lines: 50}
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what happened in a run: states of workers, cleanups",
		Long: `events shows the last events of a run, in the order in which they happened: every
change of a worker's state, and what the run itself went through, such as the
verdict on what was left when it ended.

Without --run-id it takes the only living run, or, when none lives, the one that
ended last. With --follow it goes on until the run ends, or until Ctrl-C. With
-o json it prints the lines of the run's events.jsonl as they are.`,
		Example: `  snakepit events
  snakepit events --worker default-3 --follow
  snakepit events -n all -o json --run-id demo`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			outliveReader()
			return unlessReaderLeft(o.run(c.Context()))
		},
	}
	addRunFlag(c, &o.runID)
	c.Flags().Lookup("run-id").Usage = "the run, living or ended; without it, the only living one, or the last that ended"
	c.Flags().StringArrayVarP(&o.workers, "worker", "w", nil, "only the events of this worker; may be repeated")
	c.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on with what happens from now on")
	c.Flags().VarP(&o.lines, "tail", "n", `the number of last events, or "all"`)
	o.output = addOutput(c, "table", "json")
	_ = c.RegisterFlagCompletionFunc("worker", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return o.complete(), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func (o *eventsOptions) run(ctx context.Context) error {
	found, err := findRunOrLast(o.env, o.runID, "events")
	if err != nil {
		return err
	}
	reader := &eventReader{tail: tail{path: rundir.EventsPath(found.Dir)}, workers: o.workers}
	defer reader.close()
	defer func() { o.complain(reader) }()
	if len(o.workers) > 0 {
		if err := o.knowWorkers(found); err != nil {
			return err
		}
	}
	show := newEventPrinter(o.env).print
	if o.output.value == "json" {
		show = o.printRaw
	}
	if o.follow && found.Alive {
		return followRun(ctx, o.env, found, found.Dir, reader, int(o.lines), show)
	}
	events, err := reader.begin(allLines)
	if err != nil {
		return err
	}
	if !found.Alive { // nobody will end the last line
		rest, err := reader.finish()
		if err != nil {
			return err
		}
		events = append(events, rest...)
	}
	return show(lastOf(events, int(o.lines)))
}

// knowWorkers refuses names that no event of the run has.
func (o *eventsOptions) knowWorkers(found rundir.Found) error {
	names, err := workersOf(found)
	if err != nil {
		return err
	}
	if unknown := notAmong(o.workers, names); len(unknown) > 0 {
		return unknownWorker("events", found.RunID, unknown, names)
	}
	return nil
}

// workersOf are the workers that the events of a run name.
func workersOf(found rundir.Found) ([]string, error) {
	lines, err := rundir.ReadLog(rundir.EventsPath(found.Dir), allLines)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range (&eventReader{}).parse(lines) {
		if e.Worker != "" && !slices.Contains(names, e.Worker) {
			names = append(names, e.Worker)
		}
	}
	slices.SortFunc(names, byNumber)
	return names, nil
}

func (o *eventsOptions) printRaw(events []eventLine) error {
	for _, e := range events {
		if _, err := fmt.Fprintln(o.env.Out, e.raw); err != nil {
			return err
		}
	}
	return nil
}

// complain says how many lines are no events.
func (o *eventsOptions) complain(r *eventReader) {
	if r.broken > 0 {
		fmt.Fprintf(o.env.Err, "skipped %d broken lines of %s\n", r.broken, r.path)
	}
}

func (o *eventsOptions) complete() []string {
	found, err := findRun(o.runID)
	if err != nil {
		return nil // a shell completion has nobody to tell
	}
	names, _ := workersOf(found)
	return names
}
