package cmd

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// What the shell offers at Tab. Left alone, it offers files everywhere.

// completeAll gives every flag and every argument of a command, and of all below it,
// a completion, unless it has one of its own.
func completeAll(c *cobra.Command) {
	for _, sub := range c.Commands() {
		completeAll(sub)
	}
	if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 && c.Runnable() && !c.HasSubCommands() {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		_, own := c.GetFlagCompletionFunc(f.Name)
		if own || f.NoOptDefVal != "" { // it takes no value
			return
		}
		_ = c.RegisterFlagCompletionFunc(f.Name, completionOf(c, f)) // fails only where there is one
	})
}

// completionOf goes by what a flag takes: words that are known, a file, workers of a
// run, or something that only the user knows.
func completionOf(c *cobra.Command, f *pflag.Flag) cobra.CompletionFunc {
	run := c.Flags().Lookup("run-id")
	switch own := f.Value.(type) {
	case *outputFlag:
		return cobra.FixedCompletions(own.formats, cobra.ShellCompDirectiveNoFileComp)
	case *settingFlag:
		if words := strings.Split(own.kind, "|"); len(words) > 1 {
			return completeWords(words)
		}
		run = nil // it is about a run that is not there yet
	}
	switch {
	case f.Name == "config":
		return cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt)
	case f.Name == "python-path":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case takesFile(f):
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case f.Name == "pool" && run != nil:
		return completePools(run)
	case f.Name == "worker" && run != nil:
		return func(c *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
			id := run.Value.String()
			return completeWorkers(&id)(c, nil, text)
		}
	}
	return cobra.NoFileCompletions
}

// takesFile tells flags whose value is the path of a file.
func takesFile(f *pflag.Flag) bool {
	kind, _ := pflag.UnquoteUsage(f)
	return slices.Contains([]string{"path", "file", "FILE"}, kind) || f.Name == "python" || f.Name == "report" || strings.HasSuffix(f.Name, "profile")
}

// completeWords offers those of a setting. What goes on after its colon is the user's.
func completeWords(words []string) cobra.CompletionFunc {
	directive := cobra.ShellCompDirectiveNoFileComp
	for i, word := range words {
		if prefix, _, open := strings.Cut(word, ":"); open {
			words[i] = prefix + ":"
			directive |= cobra.ShellCompDirectiveNoSpace
		}
	}
	return cobra.FixedCompletions(words, directive)
}

func completePools(run *pflag.Flag) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if _, status := askToComplete(run.Value.String()); status != nil {
			for _, p := range status.Pools {
				names = append(names, p.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// askToComplete asks a run how it is; nil when it cannot be asked: a shell completion
// has nobody to tell.
func askToComplete(runID string) (rundir.Found, *runStatus) {
	found, err := findRun(runID)
	if err != nil {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), completeTime)
	defer cancel()
	run, err := status(ctx, found)
	if err != nil {
		return found, nil
	}
	return found, run
}

// completeTools offers the tools of a run's workers, each with how it is called.
// It asks one worker that fits the flags; that is no call, and occupies nobody.
func (o *callOptions) completeTools(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, nothing
	}
	found, run := askToComplete(o.runID)
	if run == nil || found.Record == nil {
		return nil, nothing
	}
	settings := config.Config{Host: config.DefaultHost}
	_ = json.Unmarshal(found.Record.Config, &settings) // of another version perhaps; then the default holds
	port := run.portOf(o.call.Pool, o.call.Worker)
	if port == 0 {
		return nil, nothing
	}
	ctx, cancel := context.WithTimeout(context.Background(), completeTime)
	defer cancel()
	tools, err := pool.Tools(ctx, settings.Host, port)
	if err != nil {
		return nil, nothing
	}
	var names []string
	for _, t := range tools {
		names = append(names, cobra.CompletionWithDesc(t.Name, t.Usage))
	}
	return names, nothing
}

// portOf is that of a ready worker of the pool, or of the worker that is named; 0
// when none is.
func (run *runStatus) portOf(pool, worker string) int {
	for _, p := range run.Pools {
		for _, w := range p.Workers {
			if (pool == "" || pool == p.Name) && (worker == "" || worker == w.ID) && w.State == "ready" {
				return w.Port
			}
		}
	}
	return 0
}
