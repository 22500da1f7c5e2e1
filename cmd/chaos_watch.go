package cmd

import (
	"fmt"
	"io"
	"maps"
	"slices"
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
		return fmt.Sprintf("%s  %s%s  in %s  %s: %s", w.styles.state("failed"), o.Scenario, which, tenths(o.Took), first.Name, brief(first.Detail))
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
	head := s.faint.Render(fmt.Sprintf("chaos  seed %d  Ctrl-C ends, and cleans up", w.report.Seed)) + "\n\n"
	lines := []string{
		"",
		fmt.Sprintf("%s  %s", s.title.Render(w.scenario.Name), w.progress()),
		aboutText(s, w.scenario, "  ", w.size.width),
	}
	if len(w.checks) > 0 {
		lines = append(lines, checksText(s, w.checks, "  ", w.size.width))
	}
	lines = append(lines, "  "+s.warn.Render("… "+oneLine(w.doing)))
	now := strings.Join(lines, "\n")
	room := w.size.height - 1 - strings.Count(head, "\n") - 2 - strings.Count(now, "\n") // the table's own head, and what was left out
	near, rest := w.near(max(room-1, fewestRows))
	table := chaosTable(s, near, w.scenario.Name, w.size.width)
	if rest != "" {
		table += "\n" + s.faint.Render(rest)
	}
	fmt.Fprint(w.out, frame(head+table+"\n"+now, w.size, !w.drawn))
	w.drawn = true
}

// fewestRows are shown of the table, whatever else there is to say.
const fewestRows = 3

// near is as much of the report as there is room for: what has failed, and what is
// next to the scenario that runs. The rest is only counted.
func (w *chaosWatch) near(rows int) (chaos.Report, string) {
	all := w.report.Results
	if len(all) <= rows {
		return w.report, ""
	}
	at := slices.IndexFunc(all, func(r chaos.Result) bool { return r.Scenario.Name == w.scenario.Name })
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	urgency := func(i int) int {
		if i == at {
			return -2
		}
		if all[i].Failures > 0 {
			return -1
		}
		return max(i-at, at-i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return urgency(a) - urgency(b) })
	left := map[string]int{}
	for _, i := range order[rows:] {
		left[strings.Replace(verdictOf(all[i]), "not run", "waiting", 1)]++
	}
	report := w.report
	report.Results = nil
	for _, i := range slices.Sorted(slices.Values(order[:rows])) {
		report.Results = append(report.Results, all[i])
	}
	var words []string
	for _, verdict := range slices.Sorted(maps.Keys(left)) {
		words = append(words, fmt.Sprintf("%d %s", left[verdict], verdict))
	}
	return report, fmt.Sprintf("… %d more: %s", len(all)-rows, strings.Join(words, ", "))
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
