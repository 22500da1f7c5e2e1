package cmd

import (
	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/guard"
)

// newGuard is the guard process. A supervisor starts it; people do not.
func newGuard(env *Env) *cobra.Command {
	var runID, runs string
	c := &cobra.Command{
		Use:    "guard",
		Short:  "Look after a run when its supervisor has ended (started by the supervisor)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return guard.Main(env.In, env.Out, runs, runID) },
	}
	c.Flags().StringVar(&runID, "run-id", "", "the run")
	c.Flags().StringVar(&runs, "runs", "", "the directory of all runs")
	return c
}
