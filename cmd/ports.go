package cmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/holders"
	"github.com/snakepit-dev/snakepit/internal/orphans"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

// mostPorts is how many may be named: each is looked at by itself.
const mostPorts = 4096

type portsOptions struct {
	env    *Env
	output *outputFlag
	runID  string
	host   string
	named  []int
}

func newPorts(env *Env) *cobra.Command {
	o := &portsOptions{env: env}
	c := &cobra.Command{
		Use:   "ports [PORT...]",
		Short: "Show who holds a port, and what to do about it",
		Long: `ports shows the port of every worker of the living runs, of the run of --run-id,
living or dead, or the ports that are named (5000, or 5000-5007), and who holds them.

  serving    a living run's worker has it
  free       nobody has it; a connection in TIME_WAIT does not count
  held       somebody else has it
  orphan     a process of a dead run has it
  stray      a process of a living run has it, which the run does not know
  forbidden  this user may not bind it

A port is looked at on the address of --host, as something that is to be bound
there: who listens on every address is in the way as well. Nothing is changed. The
ports of living runs are read from the kernel's tables alone, so that no worker
that is about to bind meets this look.

The kernel says of another user's process no more than the user, except to root.`,
		Example: `  snakepit ports
  snakepit ports 5000 8080-8090
  snakepit ports --run-id demo -o wide
  snakepit ports 5000 -o json | jq '.ports[].holders[].pid'`,
		ValidArgsFunction: func(_ *cobra.Command, have []string, _ string) ([]string, cobra.ShellCompDirective) {
			return o.complete(have), cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.output = addOutput(c, "table", "wide", "json")
	addRunFlag(c, &o.runID)
	c.Flags().Lookup("run-id").Usage = "the ports of this run, living or dead; without it, those of every living run"
	c.Flags().StringVar(&o.host, "host", config.DefaultHost, "address to look at the named ports on")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.parse(args, c.Flags().Changed("host")); err != nil {
			return &usageError{err: err, command: c.CommandPath()}
		}
		outliveReader()
		return unlessReaderLeft(o.run(c.Context()))
	}
	return c
}

// parse reads ports and ranges of ports.
func (o *portsOptions) parse(args []string, hostGiven bool) error {
	switch {
	case len(args) > 0 && o.runID != "":
		return fmt.Errorf("cannot show ports: name ports, or a run, not both")
	case len(args) == 0 && hostGiven:
		return fmt.Errorf("cannot show ports: --host needs ports to look at; those of a run have an address")
	}
	for _, arg := range args {
		first, last, err := parsePorts(arg)
		if err != nil {
			return fmt.Errorf("cannot show ports: %w", err)
		}
		for port := first; port <= last; port++ {
			if !slices.Contains(o.named, port) {
				o.named = append(o.named, port)
			}
			if len(o.named) > mostPorts {
				return fmt.Errorf("cannot show ports: these are more than %d", mostPorts)
			}
		}
	}
	return nil
}

// parsePorts reads "5000" and "5000-5007".
func parsePorts(text string) (first, last int, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, errFirst := strconv.Atoi(from)
	last, errLast := strconv.Atoi(to)
	if errFirst != nil || errLast != nil || first < 1 || last > 65535 || first > last {
		return 0, 0, fmt.Errorf("%q is no port from 1 to 65535, nor a range of them such as 5000-5007", text)
	}
	return first, last, nil
}

func (o *portsOptions) run(ctx context.Context) error {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	living, warnings, err := livingPorts(ctx)
	if err != nil {
		return err
	}
	targets, more, err := o.targets(ctx, living)
	if err != nil {
		return err
	}
	ports, problems := holders.Look(ctx, holders.Options{Runs: stateRoot(), RunID: o.runID, Living: living}, targets)
	if ctx.Err() != nil {
		return failf(exitFailed, "", "cannot show ports: interrupted")
	}
	warnAbout(o.env, slices.Concat(warnings, more, problems))
	return o.print(ports)
}

// targets are the ports to look at.
func (o *portsOptions) targets(ctx context.Context, living []holders.Target) (targets []holders.Target, problems []string, err error) {
	if len(o.named) > 0 {
		if err := portcheck.CheckHost(ctx, o.host); err != nil {
			return nil, nil, failf(exitUsage, "name an address of this machine: --host 127.0.0.1", "cannot show ports: %w", err)
		}
		for _, port := range o.named {
			targets = append(targets, holders.Target{Host: o.host, Port: port})
		}
		return targets, nil, nil
	}
	if o.runID == "" {
		if len(living) == 0 {
			return nil, nil, failf(exitNothing, "name ports: snakepit ports 5000; or start a run: snakepit start --workers 8", "cannot show ports: no run is alive")
		}
		return living, nil, nil
	}
	for _, t := range living {
		if t.RunID == o.runID {
			targets = append(targets, t)
		}
	}
	if len(targets) > 0 {
		return targets, nil, nil
	}
	return o.deadTargets(ctx)
}

// anyAddress collides with whatever listens, IPv4 or not.
const anyAddress = "::"

// deadTargets are the ports that a dead run's registry names, and those on which
// its orphans listen. The run need not have files any more.
func (o *portsOptions) deadTargets(ctx context.Context) (targets []holders.Target, problems []string, err error) {
	found, missing := findRun(o.runID)
	if missing == nil {
		targets, err = registeredPorts(found, false)
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	report, err := orphans.Find(ctx, orphans.Options{Runs: stateRoot(), RunID: o.runID, Theirs: true})
	if err != nil {
		return nil, nil, err
	}
	for _, f := range report.Processes {
		for _, port := range f.Ports {
			if !slices.ContainsFunc(targets, func(t holders.Target) bool { return t.Port == port }) {
				targets = append(targets, holders.Target{Host: anyAddress, Port: port, RunID: o.runID})
			}
		}
	}
	switch {
	case len(targets) > 0:
		return targets, problems, nil
	case missing != nil:
		return nil, nil, missing
	}
	return nil, nil, failf(exitNothing, "what it left: snakepit logs --run-id "+o.runID, "cannot show ports of run %q: it has ended and left none", o.runID)
}

// registeredPorts are those in the registry of a run.
func registeredPorts(found rundir.Found, alive bool) ([]holders.Target, error) {
	entries, err := rundir.ReadRegistry(found.Dir)
	var targets []holders.Target
	for _, e := range entries {
		if e.Port == 0 {
			continue
		}
		t := holders.Target{Host: e.Host, Port: e.Port, RunID: found.RunID, Worker: e.Worker}
		if t.Host == "" {
			t.Host = config.DefaultHost
		}
		if alive { // its supervisor did not answer, and is to be believed all the same
			t.State, t.PID = stateUnknown, e.PID
		}
		targets = append(targets, t)
	}
	slices.SortFunc(targets, func(a, b holders.Target) int { return byNumber(a.Worker, b.Worker) })
	return targets, err
}

// livingPorts are the ports of all workers of living runs, as their supervisors tell,
// or the registry of one that does not answer.
func livingPorts(ctx context.Context) (targets []holders.Target, warnings []string, err error) {
	found, problems, err := rundir.List(stateRoot())
	if err != nil {
		return nil, nil, err
	}
	for _, p := range problems {
		warnings = append(warnings, p.String())
	}
	for _, f := range rundir.Living(found) {
		asking, cancel := context.WithTimeout(ctx, answerTime)
		run, err := status(asking, f)
		cancel()
		if err == nil {
			targets = append(targets, workerPorts(run)...)
			continue
		}
		registered, broken := registeredPorts(f, true)
		targets = append(targets, registered...)
		warnings = append(warnings, fmt.Sprintf("run %s is shown by its registry: its supervisor cannot be asked: %v", f.RunID, err))
		if broken != nil {
			warnings = append(warnings, broken.Error())
		}
	}
	return targets, warnings, nil
}

func workerPorts(run *runStatus) []holders.Target {
	var targets []holders.Target
	for _, p := range run.Pools {
		for _, w := range p.Workers {
			if w.Port == 0 {
				continue
			}
			t := holders.Target{Host: w.host, Port: w.Port, RunID: run.RunID, Worker: w.ID, State: w.State, PID: w.PID}
			if t.Host == "" {
				t.Host = config.DefaultHost
			}
			targets = append(targets, t)
		}
	}
	return targets
}

// complete offers the ports of living runs to the shell.
func (o *portsOptions) complete(have []string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), completeTime)
	defer cancel()
	living, _, _ := livingPorts(ctx) // a shell completion has nobody to tell
	var ports []string
	for _, t := range living {
		if port := strconv.Itoa(t.Port); !slices.Contains(have, port) {
			ports = append(ports, port+"\t"+t.Worker+" of run "+t.RunID)
		}
	}
	return ports
}

// sinceText is how long ago that was.
func sinceText(now, at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return humanDuration(now.Sub(at))
}
