package cmd

import (
	"fmt"
	"io"

	"github.com/charmbracelet/x/ansi"

	"github.com/snakepit-dev/snakepit/internal/bench"
)

// benchWatch shows rows as they are measured: each that is done, and on a terminal
// how far the one is that is not.
type benchWatch struct {
	out, live io.Writer
	styles    *styles
	width     int
	terminal  bool
	rows      int
	begun     int
	row       string
}

func newBenchWatch(out, live io.Writer, rows int) *benchWatch {
	return &benchWatch{out: out, live: live, styles: newStyles(out), width: screenOf(out).width, terminal: isTerminal(live), rows: rows}
}

// Began implements bench.Watcher.
func (w *benchWatch) Began(row bench.Row, _ int) {
	w.begun++
	w.row = row.Name
	w.progress("")
}

// Pair implements bench.Watcher.
func (w *benchWatch) Pair(done, of int) { w.progress(fmt.Sprintf(" %d/%d", done, of)) }

func (w *benchWatch) progress(text string) {
	if w.terminal {
		line := fmt.Sprintf("… %s%s  (row %d of %d; Ctrl-C ends, and cleans up)", w.row, text, w.begun, w.rows)
		if width := screenOf(w.live).width; width > 1 { // a line that wraps cannot be cleared
			line = ansi.Truncate(line, width-1, "…")
		}
		fmt.Fprintf(w.live, "\r\x1b[K%s", w.styles.faint.Render(line))
	}
}

func (w *benchWatch) clear() {
	if w.terminal {
		fmt.Fprint(w.live, "\r\x1b[K")
	}
}

// Ended implements bench.Watcher.
func (w *benchWatch) Ended(r bench.Result) {
	w.clear()
	fmt.Fprintf(w.out, "%s\n\n", rowText(w.styles, r, w.width))
}

func (w *benchWatch) end(report bench.Report) {
	w.clear()
	if len(report.Results) == 0 {
		return
	}
	fmt.Fprintf(w.out, "%s\n%s\n", benchHead(w.styles, report), benchTally(w.styles, report))
}
