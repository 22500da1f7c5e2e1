package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/bench"
	"github.com/snakepit-dev/snakepit/internal/chaos"
	"github.com/snakepit-dev/snakepit/internal/config"
)

type benchOptions struct {
	env                   *Env
	output                *outputFlag
	workers               int
	adapter, file, python string
	rows                  []string
	quick, check          bool
	report, profile       string
}

// benchWorkers is the number of workers that the limits are about.
const benchWorkers = 8

func newBench(env *Env) *cobra.Command {
	o := &benchOptions{env: env}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure on this machine, with your adapter, how fast snakepit is, beside the floor",
		Long: `Bench measures what snakepit promises of its speed: restarts, starts, stops, scans
and memory. "snakepit bench list" shows the rows and their limits. Beside each it
measures the floor, which is the same work without snakepit (plain Python gRPC
servers, pgrep), in turn with it, so that both have the same machine.

Limits that are a ratio to the floor hold on any machine. Limits in milliseconds or
megabytes are for a quiet machine with two cores: on another they say less. The load
of the machine is shown. A restart is judged by the 95th percentiles, most else by
medians; a ratio is the median of the ratios of the pairs.

The workers are those of --adapter or of the one pool of --config, else the built-in
ones, and the floor imports the adapter's module as well. Everything runs in a private
place, under run ids of its own, and nothing is left. Ctrl-C ends it, and cleans up.

--quick measures few pairs, and fewer workers in the row about many: a minute or
two, for a first look. It exits 0 when everything was measured, whether the limits
hold or not. With --check it exits 1 when a ratio is more than twice its limit, also
when it is measured a second time: that is a regression, and not the machine.

--cpuprofile writes a profile of each supervisor and of each orphans into a directory.
Look at all of a kind together: go tool pprof -top DIR/orphans-*.pprof`,
		Example: `  snakepit bench
  snakepit bench list
  snakepit bench --quick --check
  snakepit bench --rows restart,ready --adapter hello:Hello
  snakepit bench --config snakepit.yaml -o json --report bench.json
  snakepit bench --rows orphans --cpuprofile profiles`,
		Args: cobra.NoArgs,
	}
	o.output = addOutput(c, "table", "json")
	flags := c.Flags()
	flags.IntVar(&o.workers, "workers", benchWorkers, "how many workers the rows about a whole pool have")
	flags.StringVar(&o.adapter, "adapter", "", "the workers' tools, as module:Class (default: "+config.DefaultAdapter+")")
	flags.StringVar(&o.file, "config", "", "YAML file with the settings of the run and its one pool (default: the built-in pool)")
	flags.StringVar(&o.python, "python", "", "Python interpreter of the workers and of the floor (default: as start finds it)")
	flags.StringSliceVar(&o.rows, "rows", nil, "what to measure, separated by commas (default: all but those that bench list calls extra)")
	flags.BoolVar(&o.quick, "quick", false, "measure less, for a first look")
	flags.BoolVar(&o.check, "check", false, "exit 1 when a ratio is more than twice its limit, twice in a row")
	flags.StringVar(&o.report, "report", "", "write the report to this file, in the format of -o (default: it is printed)")
	flags.StringVar(&o.profile, "cpuprofile", "", "write profiles of supervisors, and of orphans, into this directory (default: none)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if flags.Changed("rows") && len(o.rows) == 0 { // a variable that is empty is no wish for all
			return failf(exitUsage, "see: snakepit bench list", "cannot use --rows: it names no row")
		}
		return o.run(c.Context())
	}
	_ = c.RegisterFlagCompletionFunc("rows", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return benchNames(), cobra.ShellCompDirectiveNoFileComp
	}) // it fails for a flag that is not there
	c.AddCommand(newBenchList(env))
	return c
}

func benchNames() (names []string) {
	for _, r := range bench.Rows() {
		names = append(names, r.Name)
	}
	return names
}

func (o *benchOptions) run(ctx context.Context) error {
	rows, err := o.choose()
	if err != nil {
		return err
	}
	options, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	if err := tryReport(o.report, "bench.json"); err != nil {
		return err
	}
	// A CI ends a job by TERM; a terminal that closes, by HUP.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	people := o.env.Out
	if o.output.value != "table" {
		people = o.env.Err
	}
	show := newBenchWatch(people, o.env.Err, len(rows))
	options.Watcher = show
	report, err := bench.Run(ctx, rows, options)
	show.end(report)
	if err != nil {
		return err
	}
	if err := o.write(report); err != nil {
		return err
	}
	return o.judge(report)
}

// judge turns what was measured into an exit code.
func (o *benchOptions) judge(report bench.Report) error {
	var failed []string
	for _, r := range report.Results {
		if r.Failed != "" {
			failed = append(failed, r.Row.Name)
		}
	}
	regressed := report.Regressed()
	switch {
	case report.Cut:
		return failf(exitFailed, "", "cut short: what ran was ended")
	case len(failed) > 0:
		return failf(exitFailed, "see above why", "cannot measure %s", joinAnd(failed))
	case o.check && len(regressed) > 0:
		return failf(exitFailed, "measure it on a quiet machine: snakepit bench --rows "+strings.Join(regressed, ","),
			"more than twice the limit: %s", joinAnd(regressed))
	}
	return nil
}

func (o *benchOptions) choose() ([]bench.Row, error) {
	if o.workers < 1 {
		return nil, failf(exitUsage, "", "cannot use --workers %d: it takes at least 1", o.workers)
	}
	rows, unknown := bench.Select(o.rows)
	if unknown == "" {
		return rows, nil
	}
	hint := "see: snakepit bench list"
	if near := nearest(unknown, benchNames()); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %s? %s", strings.Join(near, " or "), hint)
	}
	return nil, failf(exitUsage, hint, "there is no row %q", unknown)
}

// prepare checks the pool as start does, and makes its Python environment if there
// is none: that is no part of what is measured.
func (o *benchOptions) prepare(ctx context.Context) (bench.Options, error) {
	given := map[string]string{}
	for name, value := range map[string]string{"adapter": o.adapter, "python": o.python} {
		if value != "" {
			given[name] = value
		}
	}
	start := &startOptions{env: o.env, detach: true, file: o.file, flags: given}
	handoff, err := start.prepare(ctx)
	if err != nil {
		return bench.Options{}, err
	}
	c := handoff.Config
	if len(c.Pools) != 1 || len(c.Pools[0].Command) > 0 {
		return bench.Options{}, failf(exitUsage, "name the adapter: snakepit bench --adapter module:Class",
			"cannot measure %s: the floor is that of one pool with an adapter", describePools(c))
	}
	program, dir, err := itself()
	if err != nil {
		return bench.Options{}, err
	}
	profile := o.profile
	if profile != "" {
		profile, err = filepath.Abs(profile)
	}
	keep := func(place string) (string, func() error, error) { return chaos.KeepAfter(program, os.Environ(), place) }
	return bench.Options{
		Keep: keep, Program: program, Env: os.Environ(), WorkDir: dir,
		Python: handoff.Python.Python, Flags: o.startFlags(c), Adapter: c.Pools[0].Adapter,
		Module: ownModule(c.Pools[0].Adapter), Path: append(slices.Clone(c.PythonPath), filepath.Dir(handoff.Python.Entry)),
		Workers: o.workers, Quick: o.quick, Check: o.check, Profile: profile,
	}, err
}

func describePools(c config.Config) string {
	if len(c.Pools) > 1 {
		return fmt.Sprintf("%d pools", len(c.Pools))
	}
	return "a pool with a command"
}

// startFlags say to start what the workers are. What else variables and flags say is
// not for it.
func (o *benchOptions) startFlags(c config.Config) []string {
	flags := []string{"--adapter", c.Pools[0].Adapter, "--base-port", "0"} // the pool may be running, on its ports
	file := o.file
	if file == "" {
		file = o.env.Getenv("SNAKEPIT_CONFIG")
	}
	if file != "" {
		flags = append(flags, "--config", file)
	}
	for _, dir := range c.PythonPath {
		flags = append(flags, "--python-path", dir)
	}
	if c.Python != "" {
		flags = append(flags, "--python", c.Python)
	}
	if c.Metrics != "" {
		flags = append(flags, "--metrics", "127.0.0.1:0") // its own is for one run at a time
	}
	return flags
}

// ownModule is the adapter's module, unless it is built in.
func ownModule(adapter string) string {
	module, _, _ := strings.Cut(adapter, ":")
	if strings.HasPrefix(module, "snakepit.") {
		return ""
	}
	return module
}

// write writes the report where it is wanted.
func (o *benchOptions) write(report bench.Report) error {
	return writeReport(o.env, o.report, o.output.value == "table", func(w io.Writer) error { return o.encode(w, report) })
}

func (o *benchOptions) encode(w io.Writer, report bench.Report) error {
	if o.output.value == "json" {
		return printJSON(w, benchDocumentOf(report))
	}
	_, err := fmt.Fprintln(w, benchText(newStyles(w), report, 0))
	return err
}

func newBenchList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "Show the rows: what each measures, and its limit",
		Long: `List shows the rows that bench measures, each with its limit. A limit in units is for
a quiet machine with two cores, one that is a number of times the floor for any. Those
called extra are measured only when --rows names them. With -o json it says what each
floor is.`,
		Example: "  snakepit bench list",
		Args:    cobra.NoArgs,
	}
	output := addOutput(c, "table", "json")
	c.RunE = func(*cobra.Command, []string) error {
		if output.value == "json" {
			return unlessReaderLeft(printJSON(env.Out, benchListOf(bench.Rows())))
		}
		_, err := fmt.Fprintln(env.Out, benchListText(newStyles(env.Out), bench.Rows(), screenOf(env.Out).width))
		return unlessReaderLeft(err)
	}
	return c
}
