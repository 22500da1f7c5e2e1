package cmd

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/supervisor"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// runLogged is the supervisor in the foreground for programs that collect logs:
// standard error has one JSON object a line, and nothing else.
func (o *startOptions) runLogged(ctx context.Context, h supervisor.Handoff) error {
	options, err := runOptions(o.env, h)
	if err != nil {
		return err
	}
	logger := telemetry.NewLogger(o.env.Err, true)
	own := logger.With("run_id", h.Config.RunID)
	options.Service = o.env.Service
	options.Events = telemetry.Logged(logger)
	options.Warn = func(text string) { own.Warn(text) }
	options.Output = func(worker, line string) {
		own.Info("worker_output", "worker", worker, "line", line)
	}
	var failed error
	options.Ready = func(control.Description, []*pool.Pool) { failed = o.document(ctx, h) }
	outcome, err := supervisor.Run(ctx, options)
	if err := notStarted(outcome, err); err != nil {
		return logFailure(own, err)
	}
	if failed != nil {
		own.Error("cannot print the run", "error", failed.Error())
		failed = &silent{exitFailed}
	}
	return cmp.Or(logSummary(own, outcome.Summary), failed)
}

// speaker tells of what is done before the run has a log: the making of a
// Python environment takes its time.
func (o *startOptions) speaker(c config.Config) func(text string) {
	if !o.detach && c.LogFormat == config.LogJSON {
		logger := telemetry.NewLogger(o.env.Err, true)
		return func(text string) { logger.Info(text, "run_id", c.RunID) }
	}
	return func(text string) { fmt.Fprintln(o.env.Err, text) }
}

// logFailure says why a run did not start, in the form of the other lines.
func logFailure(logger *slog.Logger, err error) error {
	code, hint := judge(err)
	logger.Error("start_failed", "error", err.Error(), "next", hint, "exit_code", code)
	return &silent{code}
}

// logSummary is printSummary as a line of a log.
func logSummary(logger *slog.Logger, s control.StopSummary) error {
	summary := slog.Any("summary", control.SummaryOf(s))
	if len(s.Survivors)+len(s.Errors) > 0 || s.Guard != nil && len(s.Guard.Survivors)+len(s.Guard.Errors) > 0 {
		logger.Error("stopped, but not cleanly", summary)
		return &silent{exitFailed}
	}
	logger.Info("stopped", summary)
	return nil
}
