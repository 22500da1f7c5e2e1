package cmd

import (
	"hash/fnv"
	"io"

	"github.com/charmbracelet/lipgloss"
)

// styles are the few looks that all output shares, and the only colours there are:
// the terminal's own. Each state has a sign as well as a colour; without a terminal,
// or with NO_COLOR, only the sign is left.
type styles struct {
	renderer *lipgloss.Renderer
	title    lipgloss.Style // what a block is about
	faint    lipgloss.Style // heads, and what is said in passing
	good     lipgloss.Style
	warn     lipgloss.Style
	bad      lipgloss.Style
	graph    lipgloss.Style
}

func newStyles(w io.Writer) *styles {
	r := lipgloss.NewRenderer(w)
	return &styles{
		renderer: r,
		title:    r.NewStyle().Bold(true),
		faint:    r.NewStyle().Faint(true),
		good:     r.NewStyle().Foreground(lipgloss.Color("2")),
		warn:     r.NewStyle().Foreground(lipgloss.Color("3")),
		bad:      r.NewStyle().Foreground(lipgloss.Color("1")).Bold(true),
		graph:    r.NewStyle().Foreground(lipgloss.Color("6")),
	}
}

// state draws the state of a worker, a run or a process, a verdict, or what became of
// a restart or a scenario, with its sign.
func (s *styles) state(state string) string {
	switch state {
	case "ready", "running", "alive", "passed", "managed", "ok", "serving":
		return s.good.Render("● " + state)
	case "failed", "blocked", "not ready", "fail", "held", "orphan":
		return s.bad.Render("✗ " + state)
	case "backoff", "stopping", "releasing", "halted", "cut short", "warn", "stray", "forbidden":
		return s.warn.Render("◐ " + state)
	case "stopped", "ended", "gone", "zombie", "not tried", "skipped", "not run", "free":
		return s.faint.Render("○ " + state)
	case "foreign":
		return s.faint.Render("◌ " + state)
	}
	return s.warn.Render("◌ " + state)
}

// next is the line that says what to type.
func (s *styles) next(hint string) string { return s.faint.Render("next: ") + " " + hint }

// warning is a line about what is odd, and stops nothing.
func (s *styles) warning(text string) string {
	return s.warn.Render("warning: " + harmless(text, false))
}

// of is the colour of a worker's lines, the same every time; neighbours differ.
func (s *styles) of(worker string) lipgloss.Style {
	palette := []string{"6", "3", "2", "5", "4", "14", "13", "11"}
	pool, number := splitWorker(worker)
	hash := fnv.New32a()
	hash.Write([]byte(pool))
	at := (int(hash.Sum32()%uint32(len(palette))) + number) % len(palette)
	return s.renderer.NewStyle().Foreground(lipgloss.Color(palette[max(at, 0)]))
}
