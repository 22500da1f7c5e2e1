package cmd

import (
	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/chaos"
)

// newChaosKeep cleans up after a chaos, or a bench, that was killed. That one starts it; people do
// not.
func newChaosKeep(env *Env) *cobra.Command {
	var token, place string
	c := &cobra.Command{
		Use:    "keep",
		Short:  "Clean up when chaos was killed (started by chaos)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return chaos.Keep(env.In, place, token) },
	}
	c.Flags().StringVar(&token, "token", "", "what all processes of its runs carry")
	c.Flags().StringVar(&place, "place", "", "the directory of its runs")
	return c
}
