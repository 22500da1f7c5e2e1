package cmd

import "github.com/spf13/cobra"

func newPorts(env *Env) *cobra.Command { return &cobra.Command{Use: "ports"} }
