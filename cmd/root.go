// Package cmd is the command line: arguments in; text, JSON and an exit code
// out. One verb a file. It is the only place for cobra, lipgloss and exit
// codes, and it touches no process: what a verb does is the business of the
// packages below.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/systemd"
)

// Env is what a command has of the world outside.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Now      func() time.Time
	Getenv   func(string) string
	Service  *systemd.Manager // who has started this program and wants to hear of it; may be nil
}

// Main runs one command line and returns its exit code.
func Main(args []string) int {
	outliveReader()
	service := systemd.Take() // before anything is started that would inherit it
	env := &Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now, Getenv: os.Getenv, Service: service}
	root := newRoot(env)
	root.SetArgs(args)
	stopProfile, failed := env.profile(args)
	if failed == nil {
		failed = errors.Join(unlessReaderLeft(root.ExecuteContext(context.Background())), stopProfile())
	}
	if failed == nil {
		return exitDone
	}
	return explain(env.Err, failed)
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "snakepit",
		Short: "Run, watch and diagnose pools of Python gRPC worker processes",
		Long: `snakepit runs pools of Python gRPC workers: it starts them, shows them, sends
them calls, restarts them, and stops them without leaving a process or a port
behind.

Exit codes: 0 done, 1 the operation failed, 2 usage or configuration, 3 nothing
matched, 4 permission, 5 timeout, 6 ambiguous or refused because a run is alive,
10 orphans found (only with orphans --exit-code).`,
		Example: `  snakepit start --workers 8 -d
  snakepit list
  snakepit call add '{"a": 2, "b": 3}'
  snakepit restart --all
  snakepit stop`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       thisVersion().String(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "print what snakepit version prints")
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{err: err, command: c.CommandPath()}
	})
	root.AddCommand(
		newStart(env), newStop(env), newRestart(env), newScale(env), newList(env), newTop(env), newCall(env), newLogs(env), newEvents(env), newVersion(env),
		newOrphans(env), newKillOrphans(env), newChaos(env), newBench(env),
		newDoctor(env), newPorts(env), newReport(env),
		newSupervise(env), newGuard(env),
	)
	root.InitDefaultCompletionCmd()
	explainCompletion(root)
	root.SetHelpCommand(newHelp())
	root.InitDefaultHelpCmd()
	checkArgs(root)
	completeAll(root)
	return root
}

// checkArgs makes wrong arguments a usage error, with exit code 2, of a command
// and of all below it. Left alone, cobra shows the help of a command that only
// has others below it, whatever was typed, and calls that a success.
func checkArgs(c *cobra.Command) {
	for _, below := range c.Commands() {
		checkArgs(below)
	}
	if !c.Runnable() {
		c.Args, c.DisableFlagsInUseLine = noSuchCommand, true
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{err: err, command: c.CommandPath()}
			}
			return nil
		}
	}
}

// noSuchCommand refuses every argument, and names the commands that come near.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2 // edits, as cobra does
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

// interruptible is a context that ends at the first Ctrl-C.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt)
}

// outputFlag is -o, with the formats that a command has.
type outputFlag struct {
	value   string
	formats []string
}

func addOutput(c *cobra.Command, formats ...string) *outputFlag {
	f := &outputFlag{value: formats[0], formats: formats}
	c.Flags().VarP(f, "output", "o", fmt.Sprintf("output format: %s", joinOr(formats)))
	return f
}

func (f *outputFlag) String() string { return f.value }
func (f *outputFlag) Type() string   { return "format" }

func (f *outputFlag) Set(value string) error {
	for _, format := range f.formats {
		if value == format {
			f.value = value
			return nil
		}
	}
	return fmt.Errorf("no such format; it takes %s", joinOr(f.formats))
}
