package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/adrg/xdg"
	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/doctor"
)

type doctorOptions struct {
	env    *Env
	output *outputFlag
	file   string
	flags  map[string]string // those that were given
}

// doctorDocument is what doctor -o json prints (schema_version 1).
type doctorDocument struct {
	SchemaVersion int            `json:"schema_version"`
	Passed        bool           `json:"passed"`
	Checks        []doctor.Check `json:"checks"`
}

func newDoctor(env *Env) *cobra.Command {
	o := &doctorOptions{env: env}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that a start depends on, and say what is wrong",
		Long: `doctor takes the settings of start (flags, SNAKEPIT_* variables, --config) and
looks whether such a start can work here, and go on working: Python and its
packages, the import of the adapters, ports, limits of descriptors, processes and
memory, directories, what dead runs have left, the clock, time-outs that contradict
each other.

  ok       as it should be
  warn     a start works, and something will surprise somebody
  fail     a start, or what is promised of a run, does not work
  skipped  it does not apply here, or something else has to be mended first

Each line has its evidence, and what to type. The exit code is 1 when anything
fails, else 0.

It only looks. It makes no file, no directory and no Python environment, and ends
nobody. To try an adapter, a Python process imports it and ends, within
--ready-timeout.`,
		Example: `  snakepit doctor
  snakepit doctor --config snakepit.yaml
  snakepit doctor --adapter hello:Hello --workers 200 --base-port 5000
  snakepit doctor -o json | jq '.checks[] | select(.state != "ok")'`,
		Args: cobra.NoArgs,
	}
	flags := c.Flags()
	flags.StringVar(&o.file, "config", "", "YAML `file` with the settings of the run and its pools (default: none)")
	addRunSettings(flags)
	addPoolSettings(flags)
	o.output = addOutput(c, "table", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.flags = givenFlags(flags)
		outliveReader()
		return unlessReaderLeft(o.run(c.Context()))
	}
	return c
}

func (o *doctorOptions) run(ctx context.Context) error {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	subject, err := doctorSubject(o.env, o.file, o.flags)
	if err != nil {
		return err
	}
	show := doctorPrinter{env: o.env, styles: newStyles(o.env.Out), width: screenOf(o.env.Out).width}
	checks := []doctor.Check{}
	var failed error
	doctor.Examine(ctx, subject, func(c doctor.Check) {
		checks = append(checks, c)
		if o.output.value == "table" && failed == nil && ctx.Err() == nil {
			failed = show.print(c)
		}
	})
	switch {
	case ctx.Err() != nil:
		return failf(exitFailed, "", "cannot finish the examination: interrupted")
	case o.output.value == "json":
		failed = printJSON(o.env.Out, doctorDocument{SchemaVersion: 1, Passed: doctor.Passed(checks), Checks: checks})
	case failed == nil:
		fmt.Fprintln(o.env.Err, summaryOf(checks))
	}
	if failed == nil && !doctor.Passed(checks) {
		return &silent{exitFailed}
	}
	return failed
}

// doctorSubject is a start with these settings, in this place.
func doctorSubject(env *Env, file string, flags map[string]string) (doctor.Subject, error) {
	dir, err := os.Getwd()
	if err != nil {
		return doctor.Subject{}, fmt.Errorf("cannot find the working directory: %w", err)
	}
	s := doctor.Subject{
		Runs: stateRoot(), RuntimeDir: runtimeDir(env), TempDir: os.TempDir(), CacheDir: cacheRoot(),
		VirtualEnv: env.Getenv("VIRTUAL_ENV"), Path: env.Getenv("PATH"), UnitDirs: unitDirs(),
		Root: "/", Now: env.Now, Built: builtAt(),
	}
	s.Config, s.Invalid = config.Load(config.Input{File: file, Flags: flags, Getenv: env.Getenv, WorkDir: dir})
	return s, nil
}

// unitDirs are where systemd finds units of the machine and of this user
// (systemd.unit(5)).
func unitDirs() []string {
	return []string{
		"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
		"/etc/systemd/user", filepath.Join(xdg.ConfigHome, "systemd", "user"), filepath.Join(xdg.DataHome, "systemd", "user"),
	}
}

// builtAt is the time of the commit that this program was built from; zero when the
// build does not tell.
func builtAt() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			at, _ := time.Parse(time.RFC3339, setting.Value) // zero when it does not tell
			return at
		}
	}
	return time.Time{}
}

// summaryOf counts.
func summaryOf(checks []doctor.Check) string {
	counts := map[doctor.State]int{}
	for _, c := range checks {
		counts[c.State]++
	}
	text := fmt.Sprintf("%s: %d ok", count(len(checks), "check", "checks"), counts[doctor.OK])
	for _, s := range []doctor.State{doctor.Warn, doctor.Fail, doctor.Skipped} {
		if counts[s] > 0 {
			text += fmt.Sprintf(", %d %s", counts[s], s)
		}
	}
	return text
}

// doctorPrinter prints checks as they are made, so that a slow one shows what it is
// at.
type doctorPrinter struct {
	env    *Env
	styles *styles
	width  int // of the terminal; 0: lines are not broken
}

const doctorStateWidth = len("skipped") + 2 // its sign and a blank

func (p doctorPrinter) print(c doctor.Check) error {
	_, err := fmt.Fprintln(p.env.Out, p.draw(c))
	return err
}

func (p doctorPrinter) draw(c doctor.Check) string {
	names := slices.MaxFunc(doctor.Names(), func(a, b string) int { return len(a) - len(b) })
	indent := doctorStateWidth + len(names) + 2*columnGap
	head := p.pad(p.styles.state(string(c.State)), doctorStateWidth) + p.pad(c.Name, len(names))
	lines := p.broken(c.Evidence, indent)
	if c.Hint != "" {
		lines = append(lines, p.wrapped(p.styles.next(harmless(c.Hint, false)), indent)...)
	}
	return head + strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}

func (p doctorPrinter) pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text))+columnGap)
}

// broken breaks text into lines that fit beside the first columns.
func (p doctorPrinter) broken(text string, indent int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, p.wrapped(harmless(strings.TrimRight(line, "\n"), false), indent)...)
	}
	if len(lines) == 0 {
		return []string{""}
	}
	return lines
}

func (p doctorPrinter) wrapped(line string, indent int) []string {
	if p.width > 0 {
		line = ansi.Wrap(line, max(leastOfLast, p.width-indent), "")
	}
	return strings.Split(trimLines(line), "\n")
}
