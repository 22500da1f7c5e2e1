package cmd

import (
	"io"

	"github.com/charmbracelet/lipgloss"
)

// styles are the few looks that all output shares. Each state has a sign as
// well as a colour; without a terminal, or with NO_COLOR, only the sign is left.
type styles struct {
	renderer                      *lipgloss.Renderer
	title, faint, good, bad, warn lipgloss.Style
	graph                         lipgloss.Style
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

// state draws the state of a worker, a run or a process, or what became of a
// restart, with its sign.
func (s *styles) state(state string) string {
	switch state {
	case "ready", "running", "alive", "passed", "ok", "serving":
		return s.good.Render("● " + state)
	case "failed", "blocked", "not ready", "fail", "held", "orphan":
		return s.bad.Render("✗ " + state)
	case "backoff", "stopping", "releasing", "halted", "cut short", "warn", "stray", "forbidden":
		return s.warn.Render("◐ " + state)
	case "stopped", "ended", "gone", "zombie", "not tried", "skipped", "not run", "free":
		return s.faint.Render("○ " + state)
	}
	return s.warn.Render("◌ " + state)
}
