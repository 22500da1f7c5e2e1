package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
)

type topOptions struct {
	env      *Env
	runID    string
	interval time.Duration
}

func newTop(env *Env) *cobra.Command {
	o := &topOptions{env: env}
	c := &cobra.Command{
		Use:   "top",
		Short: "Watch runs and workers live; restart and stop them, read their logs",
		Long: `top shows every living run and its workers, and looks again after each --interval:
states, CPU, memory, calls per second, and how long the last health RPC took that
was answered. Looking changes nothing. Press ? for the keys.

  up, down, j, k      choose a worker
  s, S                sort by the next column; turn the order around
  /                   show only workers whose run, name or state has this text
  c                   draw CPU, or calls per second
  l, e                follow the logs, or the events, of the chosen worker
  r                   restart the worker
  x, X                stop the worker, or its whole run
  q, Ctrl-C           leave top

A restart and a stop are asked for once more. A supervisor that dies is shown with
what is known of its end; one that hangs holds up nobody else. CPU is in percent of
one core since the last look. Without a terminal there is snakepit list --watch.`,
		Example: `  snakepit top
  snakepit top --run-id demo --interval 500ms
  NO_COLOR=1 snakepit top`,
		Args: cobra.NoArgs,
	}
	addRunFlag(c, &o.runID)
	c.Flags().Lookup("run-id").Usage = "show this run only"
	c.Flags().DurationVar(&o.interval, "interval", time.Second, "the time between two looks")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.interval < 100*time.Millisecond {
			return &usageError{err: fmt.Errorf("cannot watch: --interval %s is shorter than 100ms", o.interval), command: c.CommandPath()}
		}
		return o.run(c.Context())
	}
	return c
}

// framesPerSecond is how often the screen is written at most. A program that waits
// is woken as often, so it is no more than a hand notices.
const framesPerSecond = 20

func (o *topOptions) run(ctx context.Context) error {
	if !isTerminal(o.env.Out) || !isTerminalInput(o.env.In) || o.env.Getenv("TERM") == "dumb" {
		return failf(exitUsage, "where there is none: snakepit list --watch", "cannot show top: it needs a terminal to draw on and to read keys from")
	}
	if o.runID != "" {
		if _, err := findRun(o.runID); err != nil {
			return err
		}
	}
	outliveReader()
	// All that may end a program that has changed the terminal: it is put back first.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	source := newTopSource(ctx, o.env, o.runID)
	defer source.close()
	model := newTopModel(source, newStyles(o.env.Out), o.interval, o.env.Now().Location())
	screen := &topScreen{File: o.env.Out.(*os.File), leave: leave}
	program := tea.NewProgram(model, tea.WithInput(o.env.In), tea.WithOutput(screen), tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond))
	leaving := context.AfterFunc(ctx, func() { leaveTop(program) })
	defer leaving()
	_, err := program.Run()
	switch {
	case errors.Is(err, tea.ErrProgramPanic):
		return err
	case ctx.Err() != nil: // a signal, or a terminal that is no more: there is nobody to tell
		return nil
	case err != nil:
		return fmt.Errorf("cannot show top: %w", err)
	}
	return nil
}

// leaveTop has the program end as if q was pressed; one that cannot, because its
// terminal takes nothing any more, is cut off.
func leaveTop(program *tea.Program) {
	late := time.AfterFunc(2*time.Second, program.Kill)
	defer late.Stop()
	program.Quit()
	program.Wait()
}

// topScreen ends top when nobody sees it any more: the library goes on over errors.
type topScreen struct {
	*os.File
	leave context.CancelCauseFunc
}

func (s *topScreen) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	if err != nil {
		s.leave(err)
	}
	return n, err
}

// WriteString is for io.WriteString, which would go around Write.
func (s *topScreen) WriteString(text string) (int, error) { return s.Write([]byte(text)) }
