package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/supervisor"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// newSupervise is the detached supervisor. "start --detach" starts it.
func newSupervise(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:    "supervise",
		Short:  "Supervise a run (started by start --detach)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(c *cobra.Command, _ []string) error { return supervise(c, env) },
	}
	c.Flags().String("run-id", "", "the run; for those who read the process table")
	return c
}

// supervise runs a run from what start hands over, and reports to it until the
// run is ready or has failed.
func supervise(c *cobra.Command, env *Env) error {
	var handoff supervisor.Handoff
	if err := json.NewDecoder(env.In).Decode(&handoff); err != nil {
		return failf(exitUsage, "start a run with: snakepit start -d", "cannot supervise: no hand-over on standard input: %w", err)
	}
	reports := &reporter{encoder: json.NewEncoder(env.Out)}
	options, err := runOptions(env, handoff)
	if err != nil {
		return err
	}
	options.Observe = func(e pool.Event) { reports.send(supervisor.Report{Event: &e}) }
	options.Warn = func(text string) { reports.send(supervisor.Report{Warning: text}) }
	options.Ready = func(control.Description, []*pool.Pool) { reports.last(supervisor.Report{Ready: true}) }
	outcome, err := supervisor.Run(c.Context(), options)
	if failed := notStarted(outcome, err); failed != nil {
		code, hint := judge(failed)
		reports.last(supervisor.Report{Failed: &supervisor.FailedReport{Text: failed.Error(), Hint: hint, Code: code}})
		return &silent{code}
	}
	if len(outcome.Summary.Survivors) > 0 {
		return &silent{exitFailed}
	}
	return nil
}

// runOptions are what a run needs, in the foreground and detached alike.
func runOptions(env *Env, h supervisor.Handoff) (supervisor.Options, error) {
	executable, err := os.Executable()
	if err != nil {
		return supervisor.Options{}, fmt.Errorf("cannot find this program: %w", err)
	}
	without, err := layersOff(env.Getenv(layersVariable))
	if err != nil {
		return supervisor.Options{}, err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // a closed pipe must not keep a stop from finishing
	return supervisor.Options{
		Config: h.Config, Python: h.Python, Runs: h.Runs, RuntimeDir: h.RuntimeDir,
		Version: thisVersion().Version, Executable: executable, Signals: signals, Without: without,
	}, nil
}

// reporter sends reports until the last one. Nobody may be listening any more:
// that does not concern the run.
type reporter struct {
	mu      sync.Mutex // guards done, and keeps reports whole
	encoder *json.Encoder
	done    bool
}

func (r *reporter) send(report supervisor.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.done {
		_ = r.encoder.Encode(report)
	}
}

func (r *reporter) last(report supervisor.Report) {
	r.send(report)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
}

// maxFailures is how many failed workers are shown in full.
const maxFailures = 3

// notStarted is why a run did not start, or what failed beside its workers, and
// what was seen of its processes afterwards; nil when it was ready and ended in
// good order.
func notStarted(outcome supervisor.Outcome, err error) error {
	interrupted := err == nil && !outcome.Ready
	if err == nil && !interrupted {
		return nil
	}
	code, hint := exitFailed, ""
	if err != nil {
		code, hint = judge(err)
	}
	after, left := aftermath(outcome)
	if left {
		hint = lookAtWhatIsLeft
	}
	var start *pool.StartError
	var b strings.Builder
	switch {
	case interrupted:
		fmt.Fprintf(&b, "interrupted before every worker was ready; %s", after)
	case errors.As(err, &start):
		fmt.Fprintf(&b, "cannot start pool %q: %d of its %d workers failed; %s", start.Pool, len(start.Failures), start.Workers, after)
		listFailures(&b, start.Failures)
	default:
		b.WriteString(err.Error())
		if left {
			b.WriteString("; " + after)
		}
	}
	return failf(code, hint, "%s", b.String())
}

// aftermath says what was seen after a run that did not start, and whether that
// leaves anything to be done.
func aftermath(outcome supervisor.Outcome) (text string, left bool) {
	problems := problemsOf(control.SummaryOf(outcome.Summary))
	switch {
	case len(problems) > 0:
		return "not everything was stopped: " + strings.Join(problems, "; "), true
	case !outcome.Looked:
		return "nobody has looked for what it left", false
	}
	return "everything was stopped", false
}

// listFailures adds who failed, each on a line of its own, with what it printed.
func listFailures(b *strings.Builder, failures []pool.Failure) {
	for i, f := range failures {
		if i == maxFailures {
			fmt.Fprintf(b, "\n  … and %d more", len(failures)-i)
			break
		}
		fmt.Fprintf(b, "\n  %s: %s", f.Worker, f.Reason)
		if i > 0 && sameOutput(failures[0], f) {
			continue
		}
		listOutput(b, f)
	}
}

// listOutput adds the last lines that a worker printed.
func listOutput(b *strings.Builder, f pool.Failure) {
	for _, line := range f.Output {
		fmt.Fprintf(b, "\n    | %s", line)
	}
}

func sameOutput(a, b pool.Failure) bool {
	return a.Reason == b.Reason && len(a.Output) == len(b.Output)
}
