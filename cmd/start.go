package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/adrg/xdg"
	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/internal/supervisor"
	"github.com/snakepit-dev/snakepit/internal/systemd"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

type startOptions struct {
	env    *Env
	detach bool
	output *outputFlag
	file   string
	flags  map[string]string // those that were given
}

func newStart(env *Env) *cobra.Command {
	o := &startOptions{env: env}
	c := &cobra.Command{
		Use:   "start",
		Short: "Start a run: pools of Python workers, ready to serve",
		Long: `Start starts a run and keeps it: in the foreground until Ctrl-C (a second
Ctrl-C skips the grace time), or with --detach in the background, returning once
every worker is ready.

Every setting can be given as a flag, as an environment variable (SNAKEPIT_ and
the flag's name, SNAKEPIT_RUN for --run-id), or in a file (--config); the first
of these that says something counts.

The first start makes a Python environment in the user's cache. To use your own,
with grpcio, grpcio-health-checking and protobuf in it, name it with --python or
activate it.

Any gRPC server can be a worker in place of an adapter: --command. Its words are
split as a shell does it, but no shell runs it; a list of words in the file needs
no quotes. In each word, {port}, {host}, {worker}, {run_id} and {pool} stand for the
worker's own; a server may as well read its port from SNAKEPIT_PORT. --ready says
how it is known that it serves: health (it answers the gRPC health service), tcp
(its port accepts connections), or log:REGEX (a line of its output matches). A run
of such pools alone needs no Python.

Sizes are 512MB (millions of bytes) or 512MiB (1024 × 1024 bytes).`,
		Example: `  snakepit start --workers 8
  snakepit start --workers 8 --detach --run-id demo
  snakepit start --adapter hello:Hello --workers 2
  snakepit start --command 'python server.py --port {port}' --ready tcp
  snakepit start --max-restarts 10/1m --max-memory 512MB --ttl 1h
  snakepit start --config snakepit.yaml -d`,
		Args: cobra.NoArgs,
	}
	flags := c.Flags()
	flags.BoolVarP(&o.detach, "detach", "d", false, "return once every worker is ready, and leave the run in the background")
	flags.StringVar(&o.file, "config", "", "YAML `file` with the settings of the run and its pools (default: none)")
	addRunSettings(flags)
	addPoolSettings(flags)
	o.output = addOutput(c, "table", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.flags = givenFlags(flags)
		return o.run(c.Context())
	}
	return c
}

func (o *startOptions) run(ctx context.Context) error {
	began := o.env.Now()
	handoff, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	if !o.detach && handoff.Config.LogFormat == config.LogJSON {
		return o.runLogged(ctx, handoff)
	}
	show := newProgress(o.env, handoff.Config, began)
	if o.detach {
		return o.runDetached(ctx, handoff, show)
	}
	return o.runHere(ctx, handoff, show)
}

// prepare checks everything that can be checked before anything is started.
func (o *startOptions) prepare(ctx context.Context) (supervisor.Handoff, error) {
	var h supervisor.Handoff
	dir, err := os.Getwd()
	if err != nil {
		return h, fmt.Errorf("cannot find the working directory: %w", err)
	}
	h.Runs, h.RuntimeDir = stateRoot(), runtimeDir(o.env)
	h.Config, err = config.Load(config.Input{File: o.file, Flags: o.flags, Getenv: o.env.Getenv, WorkDir: dir})
	if err != nil {
		return h, err
	}
	if err := supervisor.CheckLimits(h.Config); err != nil {
		return h, err
	}
	if !h.Config.NeedsPython() {
		return h, nil
	}
	h.Python, err = o.findPython(ctx, h.Config)
	return h, err
}

func (o *startOptions) findPython(ctx context.Context, c config.Config) (pyenv.Environment, error) {
	say := o.speaker(c)
	if !o.detach {
		say = o.alsoToService(say)
	}
	ctx, cancel := interruptible(ctx)
	defer cancel()
	python, err := pyenv.Resolve(ctx, pyenv.Options{
		Python: c.Python, VirtualEnv: o.env.Getenv("VIRTUAL_ENV"), CacheDir: cacheRoot(), Path: o.env.Getenv("PATH"),
		Progress: say,
	})
	if err != nil && ctx.Err() != nil {
		return python, failf(exitFailed, "start again: what is half made is made anew", "cannot start: interrupted")
	}
	if python.Notice != "" {
		say(python.Notice)
	}
	return python, err
}

// installTime is how long a step of the making of a Python environment may take before
// a service manager gives the start up.
const installTime = 10 * time.Minute

// alsoToService tells a service manager as well, which would otherwise count this to
// the start of the workers.
func (o *startOptions) alsoToService(say func(string)) func(string) {
	return func(text string) {
		say(text)
		_ = o.env.Service.Notify(systemd.Status("%s", text), systemd.Extend(installTime)) // the run will tell if nobody hears
	}
}

// runtimeDir is $XDG_RUNTIME_DIR; empty when the system gives none.
func runtimeDir(env *Env) string {
	if env.Getenv("XDG_RUNTIME_DIR") == "" {
		return ""
	}
	return filepath.Clean(xdg.RuntimeDir)
}

// runHere is the supervisor in the foreground.
func (o *startOptions) runHere(ctx context.Context, h supervisor.Handoff, show *progress) error {
	options, err := runOptions(o.env, h)
	if err != nil {
		return err
	}
	options.Service = o.env.Service
	options.Warn = show.warn
	options.Observe = show.event
	options.Output = show.output
	options.Stopped = show.stopped
	var failed error
	options.Ready = func(control.Description, []*pool.Pool) { failed = o.announce(ctx, h, show) }
	outcome, err := supervisor.Run(ctx, options)
	show.end()
	if failed := notStarted(outcome, err); failed != nil {
		return failed
	}
	return errors.Join(failed, printSummary(o.env, h.Config, control.SummaryOf(outcome.Summary)))
}

// runDetached starts the supervisor in the background and waits until it is
// ready. Ctrl-C meanwhile ends both.
func (o *startOptions) runDetached(ctx context.Context, h supervisor.Handoff, show *progress) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program: %w", err)
	}
	d, err := supervisor.Detach(executable, h)
	if err != nil {
		return err
	}
	ctx, cancel := interruptible(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = d.Interrupt() }) // if it has ended, Next says so
	defer stop()
	for {
		report, err := d.Next()
		switch {
		case err != nil:
			show.end()
			return failf(exitFailed, "see: snakepit logs supervisor --run-id "+h.Config.RunID, "cannot start run %q: %w", h.Config.RunID, err)
		case report.Event != nil:
			show.event(*report.Event)
		case report.Warning != "":
			show.warn(report.Warning)
		case report.Failed != nil:
			show.end()
			_ = d.Wait() // its report has said why it exits as it does
			return failf(report.Failed.Code, report.Failed.Hint, "%s", report.Failed.Text)
		case report.Ready:
			return o.announce(ctx, h, show)
		}
	}
}

// announce says that the run is ready: to people in a few lines, to programs as
// list does.
func (o *startOptions) announce(ctx context.Context, h supervisor.Handoff, show *progress) error {
	show.ready(o.detach)
	if h.Config.Metrics != "" {
		found, err := findRun(h.Config.RunID)
		if err != nil {
			return err
		}
		show.metrics(found.Record)
	}
	return o.document(ctx, h)
}

// document prints the run as list does, to those who asked for it.
func (o *startOptions) document(ctx context.Context, h supervisor.Handoff) error {
	if o.output.value != "json" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	found, err := findRun(h.Config.RunID)
	if err != nil {
		return err
	}
	run, err := status(ctx, found)
	if err != nil {
		return fmt.Errorf("cannot show run %q: %w", h.Config.RunID, err)
	}
	run.measure(o.env.Now())
	// Here, and not where all commands end: it must not cover up how the run ends.
	return unlessReaderLeft(printJSON(o.env.Out, listDocument{SchemaVersion: 1, Runs: []*runStatus{run}}))
}
