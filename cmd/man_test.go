package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestManPages holds docs/man to what the commands say of themselves. The pages are
// made here and not by cobra/doc, which takes the texts for Markdown: it joins the
// lines of lists, and drops <, * and _.
func TestManPages(t *testing.T) {
	want := map[string]string{}
	for _, c := range everyCommand(newRoot(&Env{})) {
		if c.Name() != "help" {
			want[manName(c)+".1"] = manPage(c)
		}
	}
	dir := filepath.Join("..", "docs", "man")
	if *update {
		writePages(t, dir, want)
	}
	if diff := cmp.Diff(want, readPages(t, dir)); diff != "" {
		t.Errorf("docs/man is not what the commands say (-commands +docs):\n%s\nrun go test ./cmd -run 'TestReference|TestManPages' -update", diff)
	}
}

// groff finds nothing to complain about, and shows the pages with what is in them.
func TestManPagesAreShown(t *testing.T) {
	groff := program(t, "groff", "the package groff")
	pages, err := filepath.Glob(filepath.Join("..", "docs", "man", "*.1"))
	if err != nil || len(pages) < 15 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		cmd := exec.Command(groff, "-man", "-ww", "-Tutf8", "-P-cbou", page)
		var said strings.Builder
		cmd.Stderr = &said
		shown, err := cmd.Output()
		if err != nil || said.Len() > 0 {
			t.Errorf("%s: %v: %s", page, err, said.String())
		}
		if !strings.Contains(string(shown), "EXAMPLES") || !strings.Contains(string(shown), "--help") {
			t.Errorf("%s is shown as\n%s", page, shown)
		}
	}
	if text, err := os.ReadFile(filepath.Join("..", "docs", "man", "snakepit-start.1")); err != nil || !strings.Contains(string(text), `\-\-max\-restarts`) {
		t.Errorf("options cannot be copied out of the page: %v", err)
	}
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage is a page in the language of man(7), without a date: it belongs to the
// program that lies beside it.
func manPage(c *cobra.Command) string {
	c.InitDefaultHelpFlag()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.\" Made from the commands: go test ./cmd -run TestManPages -update`)
	line(`.TH %s 1 "" snakepit "snakepit manual"`, strings.ToUpper(roff(manName(c))))
	line(".SH NAME\n%s \\- %s", roff(manName(c)), roff(c.Short))
	line(".SH SYNOPSIS")
	line("%s", strings.ReplaceAll(roff(usage(c)), "\n", "\n.br\n"))
	line(".SH DESCRIPTION\n%s", roffParagraphs(c.Long))
	line(".SH OPTIONS")
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		kind, text := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		line(".TP\n.B %s", roff(strings.TrimSpace(name+" "+kind)))
		line("%s", roff(text+defaultOf(f)))
	})
	line(".SH EXAMPLES\n.nf\n%s\n.fi", roff(strings.ReplaceAll("\n"+strings.Trim(c.Example, "\n"), "\n  ", "\n")[1:]))
	line(".SH SEE ALSO\n%s", roff(seeAlso(c)))
	return b.String()
}

// roff writes text so that it is shown as it is, also where only ASCII is read.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	text = regexp.MustCompile(`[^\x00-\x7f]`).ReplaceAllStringFunc(text, func(r string) string {
		return fmt.Sprintf(`\[u%04X]`, []rune(r)[0])
	})
	return regexp.MustCompile(`(?m)^([.'])`).ReplaceAllString(text, `\&$1`)
}

// roffParagraphs fills the lines of a text, but for those that are indented: they
// are tables.
func roffParagraphs(text string) string {
	var out []string
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if block = roff(block); regexp.MustCompile(`(?m)^[ \t]`).MatchString(block) {
			block = ".nf\n" + block + "\n.fi"
		}
		out = append(out, block)
	}
	return strings.Join(out, "\n.PP\n")
}

// defaultOf is what pflag adds to the usage of a flag.
func defaultOf(f *pflag.Flag) string {
	shown := flagLines(onlyFlag(f))
	if i := strings.LastIndex(shown, " (default "); i >= 0 && !strings.Contains(f.Usage, "(default") {
		return shown[i:]
	}
	return ""
}

func seeAlso(c *cobra.Command) string {
	var names []string
	if c.HasParent() {
		names = append(names, manName(c.Parent())+"(1)")
	}
	for _, sub := range shown(c) {
		names = append(names, manName(sub)+"(1)")
	}
	return strings.Join(names, ", ")
}
