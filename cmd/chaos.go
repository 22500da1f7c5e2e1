package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/chaos"
	"github.com/snakepit-dev/snakepit/internal/config"
)

type chaosOptions struct {
	env                *Env
	output             *outputFlag
	workers            int
	adapter, file      string
	python             string
	iterations         int
	seed               uint64
	timeout, duration  time.Duration
	keepGoing          bool
	report             string
	workersSet, seeded bool
	iterationsSet      bool
}

// chaosTimeout is what an iteration may take if nobody says otherwise.
const chaosTimeout = 2 * time.Minute

func newChaos(env *Env) *cobra.Command {
	o := &chaosOptions{env: env}
	c := &cobra.Command{
		Use:   "chaos SUITE|SCENARIO...",
		Short: "Prove on this machine, with your pool, that nothing is left when things go wrong",
		Long: `Chaos starts runs of your pool in a private place, injects faults into them at
random moments, and checks from outside what is left: it reads the process table,
binds the ports and opens the files itself, and asks nobody. "snakepit chaos list"
shows the scenarios. The suites are ` + joinAnd(chaos.Suites()) + `.

Nothing else on the machine is touched: every run has an id, a state directory and
a runtime directory of its own, and every signal goes to a process whose identity
was checked. Ctrl-C ends what runs, and cleans up.

The pool is that of --config or --adapter, else the built-in one. Scenarios that
need a worker that misbehaves bring their own adapter, and say so.

The seed decides which faults are injected, and when. It is printed; the same seed
gives the same faults. Iterations count it up: what failed in the third is met
again with --seed (seed + 2). With --duration everything is repeated until the
time is over, and the rates are shown.

A scenario that cannot run here (disk_full needs root) is skipped, and says why. It
exits 0 only if every check of every scenario held, 2 if the pool cannot be started for
its settings, and 1 otherwise.`,
		Example: `  snakepit chaos list
  snakepit chaos shutdown
  snakepit chaos shutdown --config snakepit.yaml --iterations 20 -o junit --report chaos.xml
  snakepit chaos supervisor_crash --workers 8 --seed 42
  snakepit chaos all --duration 10m --keep-going`,
		Args: func(_ *cobra.Command, args []string) error { return checkScenarios(args) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return chaosNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.output = addOutput(c, "table", "json", "junit")
	flags := c.Flags()
	flags.IntVar(&o.workers, "workers", config.DefaultWorkers, "how many workers the pool has (with --config: what the file says)")
	flags.StringVar(&o.adapter, "adapter", "", "the workers' tools, as module:Class (default: "+config.DefaultAdapter+")")
	flags.StringVar(&o.file, "config", "", "YAML `file` with the settings of the run and its pools (default: none)")
	flags.StringVar(&o.python, "python", "", "Python interpreter of the workers (default: as start finds it)")
	flags.IntVar(&o.iterations, "iterations", 1, "how often each scenario is run")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the random numbers (default: a random one)")
	flags.DurationVar(&o.timeout, "timeout", chaosTimeout, "how long one iteration of a scenario may take")
	flags.DurationVar(&o.duration, "duration", 0, "repeat for this long, in place of --iterations, and show rates (default: --iterations counts)")
	flags.BoolVar(&o.keepGoing, "keep-going", false, "go on after a failure")
	flags.StringVar(&o.report, "report", "", "write the report to this `file`, in the format of -o (default: not written)")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.workersSet, o.seeded, o.iterationsSet = flags.Changed("workers"), flags.Changed("seed"), flags.Changed("iterations")
		return o.run(c.Context(), args)
	}
	c.AddCommand(newChaosList(env), newChaosKeep(env))
	return c
}

// chaosNames are all that chaos takes as an argument.
func chaosNames() []string {
	names := chaos.Suites()
	for _, s := range chaos.Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

func checkScenarios(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name a suite (%s) or a scenario (snakepit chaos list)", joinAnd(chaos.Suites()))
	}
	_, unknown := chaos.Select(args)
	if unknown == "" {
		return nil
	}
	err := fmt.Errorf("there is no suite and no scenario %q", unknown)
	if near := nearest(unknown, chaosNames()); len(near) > 0 {
		return fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return fmt.Errorf("%w; snakepit chaos list shows what there is", err)
}

// nearest are the names that come near, as cobra finds those of commands.
func nearest(name string, names []string) []string {
	parent := &cobra.Command{SuggestionsMinimumDistance: 3}
	for _, n := range names {
		parent.AddCommand(&cobra.Command{Use: n, Run: func(*cobra.Command, []string) {}})
	}
	return parent.SuggestionsFor(name)
}

func (o *chaosOptions) run(ctx context.Context, args []string) error {
	if err := o.checkFlags(); err != nil {
		return err
	}
	scenarios, _ := chaos.Select(args)
	options, err := o.prepare(ctx, scenarios)
	if err != nil {
		return err
	}
	// A CI ends a job by TERM; a terminal that closes, by HUP.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	people := o.env.Out
	if o.output.value != "table" {
		people = o.env.Err
	}
	if err := tryReport(o.report, "chaos.xml"); err != nil {
		return err
	}
	show := newChaosWatch(people, scenarios, options)
	options.Watcher = show
	show.begin()
	report, err := chaos.Run(ctx, scenarios, options)
	var place *chaos.PlaceError
	if errors.As(err, &place) {
		return errors.Join(failf(exitFailed, "choose another temp directory: TMPDIR=/var/tmp snakepit chaos ...", "%w", err), o.write(report))
	}
	show.end(report)
	if err := errors.Join(judgeChaos(err), o.write(report)); err != nil { // what was found out is worth a report in any case
		return err
	}
	switch {
	case report.Cut:
		return failf(exitFailed, "", "cut short: nothing is proven, and what ran was ended")
	case !report.Passed():
		return &silent{exitFailed}
	}
	return nil
}

// judgeChaos: a pool that cannot be started for its settings is wrong usage of
// chaos, and no failure of what is promised.
func judgeChaos(err error) error {
	var unusable *chaos.UnusableError
	if errors.As(err, &unusable) {
		return failf(exitUsage, "start it by itself first: snakepit start", "cannot prove anything: this pool cannot be started; its first scenario says why")
	}
	return err
}

func (o *chaosOptions) checkFlags() error {
	switch {
	case o.iterations < 1:
		return failf(exitUsage, "say how often each scenario is run: --iterations 1", "cannot use --iterations %d: it takes at least 1", o.iterations)
	case o.timeout <= 0:
		return failf(exitUsage, "say how long one iteration may take: --timeout 2m", "cannot use --timeout %v: it is not positive", o.timeout)
	case o.duration < 0:
		return failf(exitUsage, "say for how long to repeat: --duration 10m", "cannot use --duration %v: it is negative", o.duration)
	case o.duration > 0 && o.iterationsSet:
		return failf(exitUsage, "leave one of them out", "cannot use --iterations with --duration: either says how often each scenario is run")
	}
	return nil
}

// prepare checks the pool as start does, and makes its Python environment if there
// is none: that is no part of what is measured.
func (o *chaosOptions) prepare(ctx context.Context, scenarios []chaos.Scenario) (chaos.Options, error) {
	given := map[string]string{}
	if o.workersSet || o.file == "" && o.env.Getenv("SNAKEPIT_CONFIG") == "" && o.env.Getenv("SNAKEPIT_WORKERS") == "" {
		given["workers"] = strconv.Itoa(o.workers)
	}
	for name, value := range map[string]string{"adapter": o.adapter, "python": o.python} {
		if value != "" {
			given[name] = value
		}
	}
	start := &startOptions{env: o.env, detach: true, file: o.file, flags: given}
	handoff, err := start.prepare(ctx)
	if err != nil {
		return chaos.Options{}, err
	}
	pool := o.pool(handoff.Config, given)
	if !handoff.Config.NeedsPython() && slices.ContainsFunc(scenarios, func(s chaos.Scenario) bool { return s.Brings != "" }) {
		if _, err := start.findPython(ctx, handoff.Config); err != nil {
			pool.NoPython = err.Error()
		}
	}
	program, dir, err := itself()
	if err != nil {
		return chaos.Options{}, err
	}
	if !o.seeded {
		o.seed = uint64(rand.Uint32())
	}
	return chaos.Options{
		Again: o.again(), Program: program, Env: os.Environ(), WorkDir: dir, Pool: pool,
		Seed: o.seed, Rounds: o.iterations, Duration: o.duration, Timeout: o.timeout, KeepGoing: o.keepGoing,
	}, nil
}

// again are the flags without which a failure would not be met again.
func (o *chaosOptions) again() []string {
	var words []string
	for _, flag := range []struct{ name, value string }{{"config", o.file}, {"adapter", o.adapter}, {"python", o.python}} {
		if flag.value != "" {
			words = append(words, "--"+flag.name, flag.value)
		}
	}
	if o.workersSet {
		words = append(words, "--workers", strconv.Itoa(o.workers))
	}
	if o.timeout != chaosTimeout {
		words = append(words, "--timeout", o.timeout.String())
	}
	return words
}

// pool is what the scenarios have to know of the pool.
func (o *chaosOptions) pool(c config.Config, given map[string]string) chaos.Pool {
	p := chaos.Pool{
		Guard: c.EmergencyCleanup, LeavesResources: c.ResourceCleanup == config.ResourcesOff,
		NoRestarts: c.MaxRestarts == 0,
	}
	if o.file != "" {
		p.Flags = append(p.Flags, "--config", o.file)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		p.Flags = append(p.Flags, "--"+name, given[name])
	}
	if c.Metrics != "" {
		p.Flags = append(p.Flags, "--metrics", "127.0.0.1:0") // its own is for one run at a time
	}
	if o.python != "" {
		p.Python = []string{"--python", o.python}
	}
	for _, pool := range c.Pools {
		p.Workers += pool.Workers
		p.FixedPorts = p.FixedPorts || pool.BasePort != 0
		p.Foreign = p.Foreign || len(pool.Command) > 0
		p.NoHealth = p.NoHealth || len(pool.Command) > 0 && pool.Ready != config.ReadyHealth
	}
	return p
}

// write writes the report where it is wanted.
func (o *chaosOptions) write(report chaos.Report) error {
	return writeReport(o.env, o.report, o.output.value == "table", func(w io.Writer) error { return o.encode(w, report) })
}

func (o *chaosOptions) encode(w io.Writer, report chaos.Report) error {
	switch o.output.value {
	case "json":
		return printJSON(w, chaosDocumentOf(report))
	case "junit":
		return printJUnit(w, report)
	}
	_, err := fmt.Fprintln(w, chaosText(newStyles(w), report, 0))
	return err
}

func joinAnd(words []string) string { return strings.Join(words, ", ") }

func newChaosList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "Show the scenarios: what each assumes, and its fault",
		Long: `list shows every scenario with its suite, what is there before, and what is done to
it. It starts nothing.`,
		Example: "  snakepit chaos list\n  snakepit chaos list -o json | jq -r '.scenarios[].name'",
		Args:    cobra.NoArgs,
	}
	output := addOutput(c, "table", "json")
	c.RunE = func(*cobra.Command, []string) error {
		if output.value == "json" {
			return unlessReaderLeft(printJSON(env.Out, chaosListOf(chaos.Scenarios())))
		}
		_, err := fmt.Fprintln(env.Out, chaosListText(newStyles(env.Out), chaos.Scenarios(), screenOf(env.Out).width))
		return unlessReaderLeft(err)
	}
	return c
}
