package cmd

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestReference holds docs/cli to what the commands say of themselves.
func TestReference(t *testing.T) {
	root := newRoot(&Env{})
	root.InitDefaultCompletionCmd()
	want := map[string]string{}
	addPages(want, root)
	dir := filepath.Join("..", "docs", "cli")
	if *update {
		writePages(t, dir, want)
	}
	if diff := cmp.Diff(want, readPages(t, dir)); diff != "" {
		t.Errorf("docs/cli is not what the commands say (-commands +docs):\n%s\nrun go test ./cmd -run TestReference -update", diff)
	}
}

// addPages makes a page for each command that help shows. The pages are made
// here and not by cobra/doc, which needs a writer of man pages and one of YAML.
func addPages(pages map[string]string, c *cobra.Command) {
	pages[pageName(c)] = page(c)
	for _, sub := range shown(c) {
		addPages(pages, sub)
	}
}

func shown(c *cobra.Command) []*cobra.Command {
	var commands []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			commands = append(commands, sub)
		}
	}
	return commands
}

func pageName(c *cobra.Command) string {
	return strings.ReplaceAll(c.CommandPath(), " ", "_") + ".md"
}

func page(c *cobra.Command) string {
	c.InitDefaultHelpFlag()
	var b strings.Builder
	code := func(title, kind, text string) {
		if text = strings.Trim(text, "\n"); text != "" {
			fmt.Fprintf(&b, "\n## %s\n\n```%s\n%s\n```\n", title, kind, text)
		}
	}
	fmt.Fprintf(&b, "# %s\n\n%s.\n", c.CommandPath(), c.Short)
	code("Usage", "text", usage(c))
	if c.Long != "" {
		code("What it does", "text", c.Long)
	}
	code("Examples", "sh", strings.ReplaceAll("\n"+c.Example, "\n  ", "\n"))
	code("Flags", "text", flagLines(c.NonInheritedFlags()))
	if subs := shown(c); len(subs) > 0 {
		b.WriteString("\n## Commands\n\n")
		for _, sub := range subs {
			fmt.Fprintf(&b, "- [%s](%s): %s\n", sub.CommandPath(), pageName(sub), sub.Short)
		}
	}
	if c.HasParent() {
		fmt.Fprintf(&b, "\nSee also [%s](%s): %s\n", c.Parent().CommandPath(), pageName(c.Parent()), c.Parent().Short)
	}
	return b.String()
}

func usage(c *cobra.Command) string {
	if c.HasSubCommands() && c.DisableFlagsInUseLine { // alone, it shows its help
		return c.CommandPath() + " COMMAND"
	}
	if len(c.Aliases) > 0 {
		return c.UseLine() + "\nalso: " + strings.Join(c.Aliases, ", ")
	}
	return c.UseLine()
}

// flagLines is what --help shows, without the spaces at the ends of lines.
func flagLines(flags *pflag.FlagSet) string {
	var lines []string
	for line := range strings.Lines(flags.FlagUsages()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return strings.Join(lines, "\n")
}

func readPages(t *testing.T, dir string) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		pages[name] = string(text)
		return err
	})
	if err != nil {
		t.Errorf("cannot read docs/cli: %v", err)
	}
	return pages
}

// writePages leaves nothing behind of commands that are no more.
func writePages(t *testing.T, dir string, pages map[string]string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
