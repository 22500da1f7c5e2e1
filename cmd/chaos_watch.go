package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/snakepit-dev/snakepit/internal/chaos"
)

// chaosWatch shows scenarios as they run: on a terminal a table that is redrawn,
// with the checks of the scenario that runs below it; elsewhere a line for each
// that has ended.
type chaosWatch struct {
	out    io.Writer
	styles *styles
	size   screen
	report chaos.Report // as far as it is known
	total  int          // iterations of each; 0: not known
	drawn  bool

	scenario chaos.Scenario
	round    int
	doing    string
	checks   []chaos.Check
}

func newChaosWatch(out io.Writer, scenarios []chaos.Scenario, o chaos.Options) *chaosWatch {
	w := &chaosWatch{out: out, styles: newStyles(out), size: screenOf(out), total: o.Rounds}
	if o.Duration > 0 {
		w.total = 0
	}
	w.report.Seed = o.Seed
	for _, s := range scenarios {
		w.report.Results = append(w.report.Results, chaos.Result{Scenario: s})
	}
	return w
}

// begin says the seed before anything can go wrong.
func (w *chaosWatch) begin() {
	if !w.size.terminal() {
		fmt.Fprintf(w.out, "%s, seed %d\n", count(len(w.report.Results), "scenario", "scenarios"), w.report.Seed)
	}
}

// Began implements chaos.Watcher.
func (w *chaosWatch) Began(s chaos.Scenario, round int) {
	w.scenario, w.round, w.doing, w.checks = s, round, "", nil
	w.draw()
}

// Doing implements chaos.Watcher.
func (w *chaosWatch) Doing(what string) {
	w.doing = what
	w.draw()
}

// Checked implements chaos.Watcher.
func (w *chaosWatch) Checked(c chaos.Check) {
	w.checks = append(w.checks, c)
	w.draw()
}

// Ended implements chaos.Watcher.
func (w *chaosWatch) Ended(o chaos.Outcome) {
	for i := range w.report.Results {
		if w.report.Results[i].Scenario.Name == o.Scenario && !o.Cut {
			w.report.Results[i].Add(o)
		}
	}
	if w.size.terminal() {
		w.draw()
		return
	}
	fmt.Fprintln(w.out, w.endedLine(o))
}

func (w *chaosWatch) endedLine(o chaos.Outcome) string {
	which := ""
	if w.total != 1 {
		which = fmt.Sprintf("  %d", o.Iteration)
	}
	switch {
	case o.Cut:
		return fmt.Sprintf("%s  %s%s", w.styles.state("cut short"), o.Scenario, which)
	case o.Skipped != "":
		return fmt.Sprintf("%s  %s  %s", w.styles.state("skipped"), o.Scenario, o.Skipped)
	case !o.Passed:
		first := o.Failed()[0]
		return fmt.Sprintf("%s  %s%s  in %s  %s: %s", w.styles.state("failed"), o.Scenario, which, tenths(o.Took), first.Name, oneLine(first.Detail))
	}
	return fmt.Sprintf("%s  %s%s  in %s  %s", w.styles.state("passed"), o.Scenario, which, tenths(o.Took), count(len(o.Checks), "check", "checks"))
}

// draw redraws the screen of a terminal.
func (w *chaosWatch) draw() {
	if !w.size.terminal() {
		return
	}
	w.size = screenOf(w.out) // it may have been resized
	s := w.styles
	lines := []string{
		s.faint.Render(fmt.Sprintf("chaos  seed %d  Ctrl-C ends, and cleans up", w.report.Seed)), "",
		chaosTable(s, w.report, w.scenario.Name, w.size.width), "",
		fmt.Sprintf("%s  %s", s.title.Render(w.scenario.Name), w.progress()),
		"  " + s.faint.Render("assumes ") + w.scenario.Assumes,
		"  " + s.faint.Render("fault   ") + w.scenario.Fault,
	}
	if len(w.checks) > 0 {
		lines = append(lines, checksText(s, w.checks, "  "))
	}
	lines = append(lines, "  "+s.warn.Render("… "+oneLine(w.doing)))
	fmt.Fprint(w.out, frame(strings.Join(lines, "\n"), w.size, !w.drawn))
	w.drawn = true
}

func (w *chaosWatch) progress() string {
	if w.total == 0 {
		return fmt.Sprintf("round %d", w.round)
	}
	return fmt.Sprintf("%d/%d", w.round, w.total)
}

// end shows the whole report.
func (w *chaosWatch) end(report chaos.Report) {
	if w.drawn {
		fmt.Fprint(w.out, ansi.CursorHomePosition+ansi.EraseScreenBelow)
	}
	fmt.Fprintf(w.out, "\n%s\n", chaosText(w.styles, report, w.size.width))
}
