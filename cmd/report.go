package cmd

import "github.com/spf13/cobra"

func newReport(env *Env) *cobra.Command { return &cobra.Command{Use: "report"} }
