package cmd

import (
	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/guard"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// newGuard is the guard process. A supervisor starts it; people do not.
func newGuard(env *Env) *cobra.Command {
	var runID, key, runs string
	var reportOnly, logJSON bool
	c := &cobra.Command{
		Use:    "guard",
		Short:  "Look after a run when its supervisor has ended (started by the supervisor)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			options := []guard.Option{guard.LogTo(telemetry.NewLogger(env.Err, logJSON)), guard.Key(key)}
			if reportOnly {
				options = append(options, guard.ReportOnly())
			}
			return guard.Main(env.In, env.Out, runs, runID, options...)
		},
	}
	c.Flags().StringVar(&runID, "run-id", "", "the run")
	c.Flags().StringVar(&key, "key", "", "what tells the run from others of the same name")
	c.Flags().StringVar(&runs, "runs", "", "the directory of all runs")
	c.Flags().BoolVar(&reportOnly, "report-only", false, "end nothing")
	c.Flags().BoolVar(&logJSON, "log-json", false, "log as JSON lines")
	return c
}
