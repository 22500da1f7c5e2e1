package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/snakepit-dev/snakepit/internal/chaos"
)

// chaosText is the whole report for people.
func chaosText(s *styles, report chaos.Report, width int) string {
	var blocks []string
	for _, r := range report.Results {
		if r.Iterations > 0 {
			blocks = append(blocks, resultText(s, r, width))
		}
	}
	for _, r := range report.Results {
		for _, failed := range r.Failed {
			blocks = append(blocks, failureText(s, failed, report.Again))
		}
	}
	blocks = append(blocks, chaosTable(s, report, "", width), verdictLine(s, report))
	return strings.Join(blocks, "\n\n")
}

// resultText is one scenario: what it assumes, its fault, and each check.
func resultText(s *styles, r chaos.Result, width int) string {
	return strings.Join([]string{
		s.title.Render(r.Scenario.Name) + "  " + s.state(verdictOf(r)),
		aboutText(s, r.Scenario, "  ", width),
		checksText(s, r.Checks, "  ", width),
	}, "\n")
}

// aboutText is what a scenario assumes, and its fault.
func aboutText(s *styles, c chaos.Scenario, indent string, width int) string {
	plain := s.renderer.NewStyle()
	return hanging(indent+s.faint.Render("assumes")+"  ", c.Assumes, width, plain) + "\n" +
		hanging(indent+s.faint.Render("fault")+"    ", c.Fault, width, plain)
}

func verdictOf(r chaos.Result) string {
	switch {
	case r.Failures > 0:
		return "failed"
	case r.Cut:
		return "cut short"
	case r.Iterations > 0:
		return "passed"
	case r.Skipped != "":
		return "skipped"
	}
	return "not run"
}

// checksText is a line for each check, with its figure and limit.
func checksText(s *styles, checks []chaos.Check, indent string, width int) string {
	widest := 0
	for _, c := range checks {
		widest = max(widest, ansi.StringWidth(c.Name))
	}
	lines := make([]string, len(checks))
	for i, c := range checks {
		lines[i] = checkLine(s, c, indent, widest, width)
	}
	return strings.Join(lines, "\n")
}

func checkLine(s *styles, c chaos.Check, indent string, widest, width int) string {
	name := c.Name + strings.Repeat(" ", max(0, widest-ansi.StringWidth(c.Name)))
	if !c.Passed {
		return fmt.Sprintf("%s%s %s  %s", indent, s.bad.Render("✗"), name, indented(c.Detail, "      ", s.bad))
	}
	return hanging(fmt.Sprintf("%s%s %s  ", indent, s.good.Render("✓"), name), harmless(c.Detail, false), width, s.faint)
}

// indented makes foreign text of several lines fit below a first one. Each line is
// drawn for itself: together they would be padded to one width.
func indented(text, indent string, look lipgloss.Style) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = look.Render(harmless(line, false))
	}
	return strings.Join(lines, "\n"+indent)
}

// failureText is a failure, ready to be pasted: the checks, what happened, and
// what the logs say.
func failureText(s *styles, o chaos.Outcome, flags []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  iteration %d; again: %s\n", s.bad.Render("✗ "+o.Scenario), o.Iteration,
		s.title.Render(againLine(o, flags)))
	b.WriteString(checksText(s, o.Failed(), "  ", 0))
	if len(o.Timeline) > 0 {
		fmt.Fprintf(&b, "\n  %s", s.faint.Render("what happened, in milliseconds"))
	}
	for _, m := range o.Timeline {
		look := s.renderer.NewStyle()
		if m.Source == "fault" {
			look = s.warn
		}
		fmt.Fprintf(&b, "\n  %9.1f  %-8s  %s", millis(m.At.Sub(o.Timeline[0].At)), shortSource(m.Source), indented(m.Text, strings.Repeat(" ", 23), look))
	}
	for _, log := range o.Logs {
		fmt.Fprintf(&b, "\n  %s", s.faint.Render("the end of "+log.Name))
		for _, line := range log.Lines {
			b.WriteString("\n  | " + harmless(line, false))
		}
	}
	return b.String()
}

// againLine is the command that meets a failure again, for a shell.
func againLine(o chaos.Outcome, flags []string) string {
	words := []string{"snakepit", "chaos", o.Scenario, "--seed", strconv.FormatUint(o.Seed, 10)}
	for _, word := range flags {
		words = append(words, shellWord(word))
	}
	return strings.Join(words, " ")
}

// shellWord quotes what a shell would take for more than one word, or for another.
func shellWord(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,+@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// shortSource leaves a run's id its own part.
func shortSource(source string) string {
	return ansi.Truncate(strings.TrimPrefix(source, "chaos-"), 8, "…")
}

// chaosTable is a line for each scenario, with its rates. While one runs, those that
// have not run yet only wait.
func chaosTable(s *styles, report chaos.Report, running string, width int) string {
	columns := []column{
		{head: "SCENARIO"},
		{head: "RESULT"},
		{head: "RUNS", right: true},
		{head: "FAILED", right: true},
		{head: "RATE", right: true},
		{head: "CHECKS", right: true},
		{head: "MEDIAN", right: true},
		{head: "SLOWEST", right: true},
		{head: "MESSAGE"},
	}
	for _, r := range report.Results {
		verdict, message := verdictOf(r), resultMessage(r)
		if running != "" && verdict == "not run" {
			verdict, message = "waiting", ""
		}
		if running == r.Scenario.Name && r.Failures == 0 {
			verdict = "running"
		}
		cells := []string{
			r.Scenario.Name, s.state(verdict), strconv.Itoa(r.Iterations), strconv.Itoa(r.Failures), rate(r),
			strconv.Itoa(len(r.Checks)), middle(r.Times), slowest(r.Times), oneLine(message),
		}
		for i := range columns {
			columns[i].cells = append(columns[i].cells, cells[i])
		}
	}
	return s.table(fit(columns, width, "MEDIAN", "CHECKS", "SLOWEST", "RATE"))
}

func resultMessage(r chaos.Result) string {
	if r.Failures > 0 {
		first := r.Failed[0].Failed()[0]
		return first.Name + ": " + brief(first.Detail)
	}
	return notRun(r)
}

// brief is a detail where it has a line: all of it is with its failure.
func brief(detail string) string { return ansi.Truncate(oneLine(detail), 200, "…") }

// rate is how many iterations passed, in percent.
func rate(r chaos.Result) string {
	if r.Iterations == 0 {
		return "-"
	}
	return fmt.Sprintf("%g%%", percent(float64(r.Iterations-r.Failures), float64(r.Iterations)))
}

func middle(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	return tenths(slices.Sorted(slices.Values(times))[len(times)/2])
}

func slowest(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	return tenths(slices.Max(times))
}

func tenths(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// verdictLine is the last word.
func verdictLine(s *styles, report chaos.Report) string {
	runs, failures := 0, 0
	for _, r := range report.Results {
		runs += r.Iterations
		failures += r.Failures
	}
	tail := fmt.Sprintf("%s in %s  seed %d", count(runs, "iteration", "iterations"), tenths(report.Took), report.Seed)
	switch {
	case failures > 0:
		return fmt.Sprintf("%s  %d of %s", s.state("failed"), failures, tail)
	case report.Cut:
		return fmt.Sprintf("%s  after %s", s.state("cut short"), tail)
	case runs == 0:
		return fmt.Sprintf("%s  nothing could be run here", s.state("failed"))
	case !report.Passed():
		return fmt.Sprintf("%s  not everything was run: %s", s.state("failed"), tail)
	}
	return fmt.Sprintf("%s  every check of %s", s.state("passed"), tail)
}

// chaosListText is the catalogue.
func chaosListText(s *styles, scenarios []chaos.Scenario, width int) string {
	var blocks []string
	for i, c := range scenarios {
		if i == 0 || c.Suite != scenarios[i-1].Suite {
			blocks = append(blocks, s.title.Render("suite "+c.Suite))
		}
		blocks = append(blocks, "  "+s.title.Render(c.Name), aboutText(s, c, "    ", width))
		if c.Brings != "" {
			blocks = append(blocks, hanging("    "+s.faint.Render("brings")+"   ", c.Brings, width, s.renderer.NewStyle()))
		}
	}
	return strings.Join(blocks, "\n")
}
