package cmd

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"image/color"
	"strings"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// A terminal as SVG: text that can be copied, with every piece at the place of its
// cell, whatever font there is; what draws lines and bars is drawn as such.

const (
	cellWidth, cellHeight = 8.4, 19.0
	fontSize, margin      = 14.0, 18.0
)

// cell is one character on a terminal, and how it looks.
type cell struct {
	text        string
	width       int
	colour      string
	bold, faint bool
}

func (c cell) looksLike(other cell) bool {
	return c.colour == other.colour && c.bold == other.bold && c.faint == other.faint
}

func cellsOf(text string) (cells []cell) {
	for _, r := range text {
		cells = append(cells, cell{text: string(r), width: 1, bold: true})
	}
	return cells
}

// rowOf is a row of a terminal, without the blanks at its end.
func rowOf(screen *vt.Emulator, y int) (cells []cell) {
	for x := 0; x < screen.Width(); {
		from := screen.CellAt(x, y)
		if from == nil {
			from = &uv.Cell{}
		}
		c := cell{
			text: cmp.Or(from.Content, " "), width: max(1, from.Width), colour: colourOf(from.Style.Fg),
			bold: from.Style.Attrs&uv.AttrBold != 0, faint: from.Style.Attrs&uv.AttrFaint != 0,
		}
		cells = append(cells, c)
		x += c.width
	}
	for len(cells) > 0 && cells[len(cells)-1].text == " " {
		cells = cells[:len(cells)-1]
	}
	return cells
}

const (
	paper = "#14171c"
	ink   = "#d3d7de"
)

// colourOf is one of a terminal's own colours.
func colourOf(c color.Color) string {
	basic, ok := c.(ansi.BasicColor)
	if !ok {
		return ink
	}
	colours := []string{"#5c6370", "#ff7a85", "#7ddc8b", "#e8c36a", "#7cb7ff", "#d49bf0", "#63d3d9", ink}
	return colours[int(basic)%len(colours)]
}

func svgOf(lines [][]cell, width int) string {
	var b strings.Builder
	w, h := 2*margin+cellWidth*float64(width), 2*margin+cellHeight*float64(len(lines))
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" fill="%s" font-size="%.0f" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace">`,
		w, h, w, h, ink, fontSize)
	fmt.Fprintf(&b, "\n<rect width=\"%.0f\" height=\"%.0f\" rx=\"8\" fill=\"%s\"/>\n", w, h, paper)
	for y, line := range lines {
		drawRow(&b, line, margin+cellHeight*float64(y))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// drawRow draws words of one look at a time, and everything that is not ASCII alone:
// its width is another in every font.
func drawRow(b *strings.Builder, cells []cell, top float64) {
	x := margin
	for i := 0; i < len(cells); {
		c := cells[i]
		text, wide := c.text, float64(c.width)*cellWidth
		for i++; i < len(cells) && isASCII(c.text) && isASCII(cells[i].text) && cells[i].looksLike(c); i++ {
			text += cells[i].text
			wide += cellWidth
		}
		if strings.TrimSpace(text) != "" {
			drawPiece(b, c, text, x, top, wide)
		}
		x += wide
	}
	b.WriteString("\n")
}

func isASCII(text string) bool { return len(text) == 1 }

func drawPiece(b *strings.Builder, c cell, text string, x, top, wide float64) {
	look := ""
	if c.colour != ink {
		look += fmt.Sprintf(` fill="%s"`, c.colour)
	}
	if c.bold {
		look += ` font-weight="bold"`
	}
	if c.faint {
		look += ` opacity=".62"`
	}
	if bar := strings.Index("▁▂▃▄▅▆▇█", text); bar >= 0 && len(text) == 3 {
		height := float64(bar/3+1) / 8 * (cellHeight - 5)
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"%s/>`, x, top+cellHeight-4-height, wide-1, height, look)
		return
	}
	if text == "─" {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="1"%s/>`, x, top+cellHeight/2, wide, look)
		return
	}
	left := len(text) - len(strings.TrimLeft(text, " "))
	text = strings.TrimSpace(text)
	if isASCII(c.text) {
		wide = cellWidth * float64(len(text))
	}
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // a strings.Builder takes everything
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" textLength="%.1f" xml:space="preserve"%s>%s</text>`,
		x+cellWidth*float64(left), top+cellHeight-5, wide, look, escaped.String())
}
