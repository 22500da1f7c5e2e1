package cmd

import (
	"fmt"
	"math"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/snakepit-dev/snakepit/internal/bench"
)

// The picture of a row: two bars of one scale, and where its limit is.

// benchText is the whole report for people.
func benchText(s *styles, report bench.Report, width int) string {
	blocks := []string{benchHead(s, report)}
	for _, r := range report.Results {
		blocks = append(blocks, rowText(s, r, width))
	}
	return strings.Join(append(blocks, benchTally(s, report)), "\n\n")
}

// benchHead says where it was measured.
func benchHead(s *styles, report bench.Report) string {
	m := report.Machine
	words := []string{fmt.Sprintf("%s/%s", m.OS, m.Arch), count(m.CPUs, "core", "cores")}
	if m.MemoryBytes > 0 {
		words = append(words, humanBytes(m.MemoryBytes))
	}
	words = append(words, report.Adapter)
	if report.Quick {
		words = append(words, "quick")
	}
	return s.faint.Render(strings.Join(words, " · "))
}

// rowText is one row.
func rowText(s *styles, r bench.Result, width int) string {
	head := fmt.Sprintf("%s  %s", verdictSign(s, r), s.title.Render(r.Row.Name)) + "  " + r.What()
	lines := []string{head}
	switch {
	case r.Skipped != "":
		lines = append(lines, "   "+s.faint.Render("skipped: "+r.Skipped))
	case r.Failed != "":
		lines = append(lines, "   "+indented(r.Failed, "   ", s.bad))
	default:
		lines = append(lines, barLines(s, r, width)...)
		if r.Row.Goal.By == bench.P95 && len(r.Floor) > 0 {
			lines = append(lines, "   "+s.faint.Render(fmt.Sprintf("p50 %s, %.2f × the floor", bench.Amount(bench.Median.Of(r.Ours), r.Row.Unit), r.Ratio())))
		}
	}
	for _, note := range r.Notes {
		lines = append(lines, "   "+s.faint.Render(note))
	}
	return strings.Join(lines, "\n")
}

func verdictSign(s *styles, r bench.Result) string {
	switch {
	case r.Failed != "":
		return s.bad.Render("✗")
	case r.Skipped != "":
		return s.faint.Render("○")
	case r.Verdict() == bench.Misses:
		return s.warn.Render("✗")
	}
	return s.good.Render("✓")
}

// The columns of a bar's line: a label, a value, the bar, and what is said of it.
const (
	benchLabel = 9
	benchValue = 9
	leastBar   = 16
	mostBar    = 36
)

func barLines(s *styles, r bench.Result, width int) []string {
	room := mostBar
	if width > 0 {
		room = min(mostBar, max(leastBar, width-benchLabel-benchValue-30))
	}
	limit := limitOf(r)
	widest := math.Max(r.Value(), 0)
	for _, v := range []float64{r.FloorValue(), limit} {
		if !math.IsNaN(v) {
			widest = math.Max(widest, v)
		}
	}
	look := s.good
	if r.Verdict() == bench.Misses {
		look = s.warn
	}
	line := func(label string, value float64, bar, said string) string {
		return strings.TrimRight(fmt.Sprintf("   %-*s%*s  %s  %s", benchLabel-3, label, benchValue, bench.Amount(value, r.Row.Unit), bar, said), " ")
	}
	lines := []string{line("ours", r.Value(), bar(r.Value(), widest, room, look), saidOfOurs(s, r))}
	if r.Row.Floor != "" {
		lines = append(lines, line("floor", r.FloorValue(), bar(r.FloorValue(), widest, room, s.faint), s.faint.Render(spread(r.Floor, r))))
	}
	if !math.IsNaN(limit) {
		mark := strings.Repeat(" ", max(0, cells(limit, widest, room)-1)) + "▏"
		lines = append(lines, line("limit", limit, mark+strings.Repeat(" ", room-ansi.StringWidth(mark)), limitText(s, r)))
	}
	return lines
}

// limitOf is where the limit is on the scale of the bars: of several, the narrowest.
func limitOf(r bench.Result) float64 {
	limit := math.NaN()
	narrow := func(value float64) {
		if math.IsNaN(limit) || value < limit {
			limit = value
		}
	}
	g := r.Row.Goal
	if a := g.Absolute(r.Count); a > 0 {
		narrow(a)
	}
	if g.Ratio > 0 && len(r.Floor) > 0 {
		narrow(g.Ratio * r.FloorValue())
	}
	if g.Above > 0 && len(r.Floor) > 0 {
		narrow(g.Above + r.FloorValue())
	}
	return limit
}

func limitText(s *styles, r bench.Result) string {
	return s.faint.Render(r.Row.Goal.Text(r.Row.Unit, r.Count))
}

// saidOfOurs is the ratio, or else the other figure of the series.
func saidOfOurs(s *styles, r bench.Result) string {
	switch {
	case len(r.Floor) == 0:
		return s.faint.Render(spread(r.Ours, r))
	case r.Row.Goal.Above > 0:
		return fmt.Sprintf("the floor + %s", bench.Amount(r.Above(), r.Row.Unit))
	case r.Row.Goal.Ratio == 0:
		return fmt.Sprintf("%.2f × the floor", r.Ratio())
	}
	return fmt.Sprintf("%.2f × the floor", r.Judged())
}

// spread is the figure that is not drawn.
func spread(values []float64, r bench.Result) string {
	switch {
	case len(values) < 2:
		return ""
	case r.Row.Goal.By == bench.P95:
		return "p50 " + bench.Amount(bench.Median.Of(values), r.Row.Unit)
	}
	return "p95 " + bench.Amount(bench.P95.Of(values), r.Row.Unit)
}

// cells is how many of so many cells a value takes, on a scale that ends at widest.
func cells(value, widest float64, room int) int {
	if widest <= 0 || math.IsNaN(value) {
		return 0
	}
	return min(room, int(math.Round(value/widest*float64(room))))
}

// eighths are the ends of bars, by eighths of a cell.
var eighths = []rune(" ▏▎▍▌▋▊▉")

// bar draws a value with an accuracy of an eighth of a cell, in so many cells.
func bar(value, widest float64, room int, look lipgloss.Style) string {
	if widest <= 0 || math.IsNaN(value) {
		return strings.Repeat(" ", room)
	}
	parts := min(8*room, max(1, int(math.Round(8*value/widest*float64(room)))))
	drawn := strings.Repeat("█", parts/8)
	if rest := parts % 8; rest > 0 {
		drawn += string(eighths[rest])
	}
	return look.Render(drawn) + strings.Repeat(" ", room-ansi.StringWidth(drawn))
}

// benchTally says what holds and what does not, and how far that can be trusted.
func benchTally(s *styles, report bench.Report) string {
	holds, misses, others := report.Tally()
	lines := []string{s.title.Render(fmt.Sprintf("%d hold, %d do not", holds, misses))}
	if others > 0 {
		lines[0] += fmt.Sprintf(", %d not measured", others)
	}
	lines[0] += s.faint.Render(fmt.Sprintf("  in %s, load %.2f → %.2f", tenths(report.Took), report.Machine.LoadBefore, report.Machine.LoadAfter))
	for _, r := range report.Results {
		if r.Verdict() == bench.Misses {
			lines = append(lines, s.warn.Render("✗ ")+r.Row.Name+": "+missText(r))
		}
	}
	if misses > 0 && (!report.Machine.Quiet() || report.Machine.CPUs != 2) {
		lines = append(lines, s.faint.Render("limits in ms and MB are for a quiet machine with 2 cores; this one is another, or is busy"))
	}
	if report.Quick {
		lines = append(lines, s.faint.Render("quick: few values; measure it all: snakepit bench"))
	}
	return strings.Join(lines, "\n")
}

func missText(r bench.Result) string {
	var words []string
	if r.Relative() == bench.Misses {
		words = append(words, fmt.Sprintf("%.2f × the floor, limit %g", r.Judged(), r.Row.Goal.Ratio))
	}
	if r.Absolute() == bench.Misses && r.Row.Goal.Above > 0 {
		words = append(words, fmt.Sprintf("the floor + %s, limit %s", bench.Amount(r.Above(), r.Row.Unit), bench.Amount(r.Row.Goal.Above, r.Row.Unit)))
	} else if r.Absolute() == bench.Misses {
		words = append(words, fmt.Sprintf("%s, limit %s", bench.Amount(r.Value(), r.Row.Unit), bench.Amount(r.Row.Goal.Absolute(r.Count), r.Row.Unit)))
	}
	return strings.Join(words, "; ")
}

// benchListText is the table of rows.
func benchListText(s *styles, rows []bench.Row, width int) string {
	name, limit, what := column{head: "ROW"}, column{head: "LIMIT"}, column{head: "WHAT"}
	for _, r := range rows {
		of := typical(r)
		label := of.What()
		if r.Extra {
			label = "(extra) " + label
		}
		name.cells = append(name.cells, r.Name)
		what.cells = append(what.cells, label)
		limit.cells = append(limit.cells, r.Goal.Text(r.Unit, of.Count))
	}
	return s.table(fit([]column{name, limit, what}, width))
}
