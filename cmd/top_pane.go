package cmd

import (
	"context"

	tea "charm.land/bubbletea/v2"
	"github.com/muesli/termenv"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// topPaneLines is how much a pane keeps: more than a screen has.
const topPaneLines = 200

type topPaneKind string

const (
	topLogs   topPaneKind = "logs"
	topEvents topPaneKind = "events"
)

// topPaneOf says what is followed.
type topPaneOf struct {
	what   topPaneKind
	found  rundir.Found
	worker string
}

// topPane follows one worker, below the table.
type topPane struct {
	topPaneOf
	number int // messages of one that was closed are dropped
	cancel context.CancelFunc
	lines  []string
	ended  bool
}

// topNews is what came in. Only one of lines, events and err is there.
type topNews struct {
	pane   int
	from   <-chan topNews // where more comes from
	lines  []logLine
	events []eventLine
	err    error
	over   bool // nothing more will come
}

// onNews adds to the pane, and waits for more.
func (m *topModel) onNews(n topNews) tea.Cmd {
	if m.pane == nil || n.pane != m.pane.number {
		return nil
	}
	for _, line := range n.lines {
		m.pane.add(m.logLine(line))
	}
	for _, event := range n.events {
		m.pane.add(m.eventLine(event))
	}
	if n.err != nil {
		m.pane.add(m.styles.bad.Render("✗ " + oneLine(n.err.Error())))
	}
	if n.over {
		m.pane.ended = true
		return nil
	}
	return func() tea.Msg {
		next, more := <-n.from
		next.pane, next.from, next.over = n.pane, n.from, !more
		return next
	}
}

func (p *topPane) add(line string) {
	p.lines = append(p.lines, line)
	p.lines = p.lines[max(0, len(p.lines)-topPaneLines):]
}

const topClock = "15:04:05.000"

func (m *topModel) logLine(line logLine) string {
	text := harmless(line.Text, m.styles.renderer.ColorProfile() != termenv.Ascii)
	if line.Time.IsZero() {
		return text
	}
	return m.styles.faint.Render(line.Time.In(m.zone).Format(topClock)) + "  " + text
}

func (m *topModel) eventLine(event eventLine) string {
	p := eventPrinter{styles: m.styles}
	text := m.styles.faint.Render(event.Time.In(m.zone).Format(topClock)) + "  " + p.what(event.Record)
	if event.PID > 0 {
		text += "  PID " + number(event.PID)
	}
	if reason := reasonOf(event.Record); reason != "" {
		text += "  " + oneLine(reason)
	}
	return text
}
