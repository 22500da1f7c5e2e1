package cmd

import (
	"bufio"
	"io"
	"strings"

	"github.com/muesli/termenv"
)

// logPrinter writes lines behind the name of who printed them.
type logPrinter struct {
	out        *bufio.Writer
	styles     *styles
	terminal   bool
	timestamps bool
	width      int // of the longest name so far
}

func newLogPrinter(out io.Writer, timestamps bool, names []string) *logPrinter {
	p := &logPrinter{
		out: bufio.NewWriter(out), styles: newStyles(out), terminal: isTerminal(out), timestamps: timestamps,
	}
	for _, name := range names {
		p.width = max(p.width, len(name))
	}
	return p
}

// print writes lines and leaves none in a buffer.
func (p *logPrinter) print(lines []logLine) error {
	for _, line := range lines {
		p.width = max(p.width, len(line.worker))
		prefix := line.worker + strings.Repeat(" ", p.width-len(line.worker)) + " |"
		p.out.WriteString(p.styles.of(line.worker).Render(prefix) + " ")
		if p.timestamps && !line.Time.IsZero() {
			p.out.WriteString(p.styles.faint.Render(line.Time.UTC().Format("2006-01-02T15:04:05.000Z")) + " ")
		}
		p.out.WriteString(p.text(line.Text) + "\n")
	}
	return p.out.Flush() // it keeps the first error of any write
}

// text passes on what a worker printed as it is, except that nothing steers the
// terminal of the person who looks.
func (p *logPrinter) text(text string) string {
	if !p.terminal {
		return text
	}
	return harmless(text, p.styles.renderer.ColorProfile() != termenv.Ascii)
}
