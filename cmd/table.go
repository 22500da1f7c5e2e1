package cmd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
	"github.com/charmbracelet/x/ansi"
)

// column is one column of a table; cells may be styled.
type column struct {
	head  string
	shown string // in place of the head, if it is not empty
	right bool   // numbers stand to the right
	cells []string
}

const (
	columnGap   = 2
	leastOfLast = 16 // cells of the last column that are worth showing
)

// table draws columns without borders, two spaces apart.
func (s *styles) table(columns []column) string {
	var heads []string
	rows := make([][]string, len(columns[0].cells))
	for _, c := range columns {
		heads = append(heads, c.title())
		for row, cell := range c.cells {
			rows[row] = append(rows[row], cell)
		}
	}
	look := func(row, col int) lipgloss.Style {
		style := s.renderer.NewStyle()
		if row == table.HeaderRow {
			style = s.faint
		}
		if columns[col].right {
			style = style.Align(lipgloss.Right)
		}
		if col < len(columns)-1 {
			style = style.PaddingRight(columnGap)
		}
		return style
	}
	drawn := table.New().Wrap(false).StyleFunc(look).Headers(heads...).Rows(rows...).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderHeader(false).BorderColumn(false).BorderRow(false).Render()
	return trimLines(drawn)
}

// fit makes columns fit a width: first those go that say nothing, then the last one is
// cut, down to a rest that is worth showing, then those named go, in the order given.
func fit(columns []column, width int, expendable ...string) []column {
	if width <= 0 {
		return columns
	}
	for _, head := range append([]string{columns[len(columns)-1].head}, expendable...) {
		if widthOf(columns) > width {
			columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return c.head == head && c.isEmpty() })
		}
	}
	for {
		room := width - widthOf(columns)
		last := columns[len(columns)-1]
		if room >= 0 {
			return columns
		}
		if left := last.width() + room; left >= leastOfLast || len(expendable) == 0 {
			return append(columns[:len(columns)-1:len(columns)-1], last.cut(max(left, len(last.head))))
		}
		columns = without(columns, expendable[0])
		expendable = expendable[1:]
	}
}

func without(columns []column, head string) []column {
	var kept []column
	for _, c := range columns {
		if c.head != head {
			kept = append(kept, c)
		}
	}
	return kept
}

func widthOf(columns []column) int {
	sum := columnGap * (len(columns) - 1)
	for _, c := range columns {
		sum += c.width()
	}
	return sum
}

// isEmpty says that there is nothing in any row.
func (c column) isEmpty() bool {
	return len(c.cells) > 0 && !slices.ContainsFunc(c.cells, func(cell string) bool { return cell != "-" })
}

func (c column) title() string { return cmp.Or(c.shown, c.head) }

func (c column) width() int {
	widest := ansi.StringWidth(c.title())
	for _, cell := range c.cells {
		widest = max(widest, ansi.StringWidth(cell))
	}
	return widest
}

func (c column) cut(width int) column {
	cut := make([]string, len(c.cells))
	for i, cell := range c.cells {
		cut[i] = ansi.Truncate(cell, width, "…")
	}
	c.cells = cut
	return c
}

// trimLines takes the blanks from the ends of lines, for those who copy them.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// oneLine makes foreign text fit for a cell; nothing is shown as a dash.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(harmless(strings.ReplaceAll(text, "\n", " "), false)), " ")
	if text == "" {
		return "-"
	}
	return text
}

// hanging draws text behind a prefix, and its further lines below its first one; a
// width of 0 cuts nothing. What is drawn is drawn line by line: together they would be
// padded to one width.
func hanging(prefix, text string, width int, look lipgloss.Style) string {
	indent := ansi.StringWidth(prefix)
	lines := []string{text}
	if width > 0 {
		lines = wrapWords(text, max(leastOfLast, width-indent))
	}
	for i, line := range lines {
		lines[i] = look.Render(line)
	}
	return prefix + strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}

// wrapWords breaks between words, and words only where they are too long for a line.
func wrapWords(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Split(text, " ") {
		if line != "" && ansi.StringWidth(line)+1+ansi.StringWidth(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
		for ansi.StringWidth(line) > max(1, width) {
			lines = append(lines, ansi.Truncate(line, width, ""))
			line = ansi.TruncateLeft(line, width, "")
		}
	}
	return append(lines, line)
}
