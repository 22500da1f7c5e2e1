package cmd

import (
	"github.com/spf13/cobra"
)

// newHelp is the help command. That of cobra shows the help of the root for a command
// that there is not, and calls that a success.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show what a command does, its flags, and examples",
		Long:    "help shows what --help of the command shows.",
		Example: "  snakepit help start\n  snakepit help chaos list",
		RunE: func(c *cobra.Command, args []string) error {
			command, err := commandNamed(c.Root(), args)
			if err != nil {
				return err
			}
			command.InitDefaultHelpFlag()
			return command.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			command, err := commandNamed(c.Root(), args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, below := range command.Commands() {
				if below.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(below.Name(), below.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// commandNamed follows words from command to command.
func commandNamed(c *cobra.Command, words []string) (*cobra.Command, error) {
	for i, word := range words {
		next := below(c, word)
		if next == nil {
			return nil, &usageError{err: noSuchCommand(c, words[i:]), command: c.CommandPath()}
		}
		c = next
	}
	return c, nil
}

// below is the command of that name or alias, shown or not; nil when there is none.
func below(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// explainCompletion adds examples to the commands that cobra makes.
func explainCompletion(root *cobra.Command) {
	examples := map[string]string{
		"":           "  source <(snakepit completion bash)",
		"bash":       "  source <(snakepit completion bash)\n  snakepit completion bash > ~/.local/share/bash-completion/completions/snakepit",
		"zsh":        "  source <(snakepit completion zsh)\n  snakepit completion zsh > \"${fpath[1]}/_snakepit\"",
		"fish":       "  snakepit completion fish | source\n  snakepit completion fish > ~/.config/fish/completions/snakepit.fish",
		"powershell": "  snakepit completion powershell | Out-String | Invoke-Expression",
	}
	completion := below(root, "completion")
	completion.Example = examples[""]
	for _, shell := range completion.Commands() {
		shell.Example = examples[shell.Name()]
	}
}
