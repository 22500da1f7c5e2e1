package cmd

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// everyCommand are all that help shows, from the root down.
func everyCommand(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			all = append(all, everyCommand(sub)...)
		}
	}
	return all
}

// Each command says what it does, at length, and shows how it is called.
func TestCommandsExplainThemselves(t *testing.T) {
	commands := everyCommand(newRoot(&Env{}))
	if len(commands) < 15 {
		t.Errorf("only %d commands were looked at", len(commands))
	}
	for _, c := range commands {
		t.Run(c.CommandPath(), func(t *testing.T) {
			if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 90 {
				t.Errorf("Short is not one line without a full stop: %q", c.Short)
			}
			if len(c.Long) < 20 {
				t.Errorf("Long says nothing: %q", c.Long)
			}
			exampleRuns(t, c)
		})
	}
}

// exampleRuns holds the examples to the commands and flags that there are.
func exampleRuns(t *testing.T, c *cobra.Command) {
	own := 0
	for line := range strings.Lines(c.Example) {
		if !strings.HasPrefix(line, "  ") {
			t.Errorf("example is not indented by two: %q", line)
		}
		// From one "snakepit" to the next command of the shell.
		line = regexp.MustCompile(`'[^']*'`).ReplaceAllString(line, "TEXT")
		for _, words := range regexp.MustCompile(`snakepit( [^|>;&()]*)?`).FindAllString(line, -1) {
			fields := strings.Fields(words)[1:]
			found, rest, err := newRoot(&Env{}).Find(fields)
			if err != nil {
				t.Errorf("%q: %v", line, err)
				continue
			}
			if strings.HasPrefix(found.CommandPath()+" ", c.CommandPath()+" ") { // or one below it
				own++
			}
			for _, word := range rest {
				name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				if long := strings.HasPrefix(word, "--"); long && found.Flags().Lookup(name) == nil {
					t.Errorf("%q: %s has no flag --%s", line, found.CommandPath(), name)
				}
			}
		}
	}
	if own == 0 {
		t.Errorf("no example of it: %q", c.Example)
	}
}

// Each flag says what it is for, and what holds without it.
func TestFlagsExplainThemselves(t *testing.T) {
	for _, c := range everyCommand(newRoot(&Env{})) {
		c.InitDefaultHelpFlag()
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			name := c.CommandPath() + " --" + f.Name
			if len(f.Usage) < 8 {
				t.Errorf("%s says too little: %q", name, f.Usage)
			}
			shown := flagLines(onlyFlag(f))
			if takesNoValue := f.NoOptDefVal != ""; !takesNoValue && !regexp.MustCompile(`default|without it|\bonly\b|repeated`).MatchString(shown) {
				t.Errorf("%s does not say what holds without it: %q", name, shown)
			}
		})
	}
}

func onlyFlag(f *pflag.Flag) *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.AddFlag(f)
	return flags
}

// Nothing is left to what a shell offers by itself, which is files.
func TestEverythingIsCompleted(t *testing.T) {
	for _, c := range everyCommand(newRoot(&Env{})) {
		if c.Runnable() && !c.HasSubCommands() && c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 {
			t.Errorf("%s: its arguments have no completion", c.CommandPath())
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if _, there := c.GetFlagCompletionFunc(f.Name); !there && f.NoOptDefVal == "" {
				t.Errorf("%s --%s has no completion", c.CommandPath(), f.Name)
			}
		})
	}
}
