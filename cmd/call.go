package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

type callOptions struct {
	env     *Env
	runID   string
	call    control.Call
	timeout time.Duration
}

func newCall(env *Env) *cobra.Command {
	o := &callOptions{env: env}
	c := &cobra.Command{
		Use:   "call TOOL [JSON]",
		Short: "Run a tool on a worker and print its result",
		Long: `Call runs a tool on an idle ready worker and prints the result as JSON. The
parameters are a JSON object; "-" reads it from standard input. A call waits until
a worker comes free; --timeout bounds all of it and reaches the worker as a
deadline.

A tool's own failure exits 1, with Python's traceback on standard error.`,
		Example: `  snakepit call ping
  snakepit call add '{"a": 2, "b": 3}'
  snakepit call stream '{"count": 5}' --stream
  snakepit call sleep '{"seconds": 10}' --timeout 2s --worker default-3`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: o.completeTools,
		RunE:              func(c *cobra.Command, args []string) error { return o.run(c.Context(), args) },
	}
	addRunFlag(c, &o.runID)
	c.Flags().StringVar(&o.call.Pool, "pool", "", "the pool (default: the only one, or that of --worker)")
	c.Flags().StringVar(&o.call.Worker, "worker", "", "the worker (default: an idle one)")
	c.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "how long the call may take; 0: for ever")
	c.Flags().BoolVar(&o.call.Stream, "stream", false, "print each chunk as it comes")
	return c
}

func (o *callOptions) run(ctx context.Context, args []string) error {
	o.call.Tool = args[0]
	if err := o.readParameters(args[1:]); err != nil {
		return err
	}
	if o.timeout < 0 {
		return failf(exitUsage, "0 waits for ever", "cannot use --timeout %v: it is negative", o.timeout)
	}
	client, _, err := dialRun(o.runID)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := interruptible(ctx)
	defer cancel()
	if o.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	result, err := client.Call(ctx, o.call, func(chunk []byte) error { return o.print(chunk) })
	if err != nil {
		return o.failed(err)
	}
	if o.call.Stream {
		return nil
	}
	return o.print(result)
}

// readParameters checks that the parameters are one JSON object.
func (o *callOptions) readParameters(args []string) error {
	text := []byte("{}")
	if len(args) == 1 {
		text = []byte(args[0])
		if args[0] == "-" {
			var err error
			if text, err = io.ReadAll(o.env.In); err != nil {
				return fmt.Errorf("cannot read the parameters: %w", err)
			}
		}
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		reason := "it is not a JSON object"
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			reason = fmt.Sprintf("it is not JSON: %v, after %d bytes", syntax, syntax.Offset)
		}
		return failf(exitUsage, `write it as one argument: '{"a": 2, "b": 3}'`, "cannot use the parameters %s: %s", quoteShort(text), reason)
	}
	o.call.Parameters = text
	return nil
}

func quoteShort(text []byte) string {
	if len(text) > 60 {
		return fmt.Sprintf("%q…", text[:60])
	}
	return fmt.Sprintf("%q", text)
}

func (o *callOptions) print(document []byte) error {
	_, err := o.env.Out.Write(append(bytes.TrimRight(document, "\n"), '\n'))
	return err
}

// failed shows the traceback of a tool's own failure, and says what a call that
// was cut short means.
func (o *callOptions) failed(err error) error {
	var tool *pool.ToolError
	switch {
	case errors.As(err, &tool):
		if raised := tool.Type != "UnknownTool" && tool.Type != "InvalidParameters"; raised && tool.Traceback != "" {
			fmt.Fprintln(o.env.Err, strings.TrimRight(tool.Traceback, "\n"))
		}
		return fmt.Errorf("cannot call %s: %w", o.call.Tool, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return failf(exitTimeout, "give it longer: --timeout 5m; see who is busy: snakepit list", "cannot call %s: no result within %v", o.call.Tool, o.timeout)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("cannot call %s: interrupted: %w", o.call.Tool, err)
	}
	return fmt.Errorf("cannot call %s: %w", o.call.Tool, err)
}
