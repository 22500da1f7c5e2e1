package cmd

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// View implements tea.Model.
func (m *topModel) View() tea.View { return tea.View{Content: m.draw(), AltScreen: true} }

// draw makes a screen: nothing is wider or longer than that, however small it is.
func (m *topModel) draw() string {
	bottom := m.bottom()
	lines := append([]string{m.title()}, m.runLines()...)
	room := m.size.height - len(lines) - len(bottom)
	switch {
	case m.mode == topHelp:
		lines = append(lines, upTo(room, topHelpLines(m.styles))...)
	default:
		lines = append(lines, m.body(room)...)
	}
	return m.fill(lines, bottom)
}

// fill puts the bottom where it belongs, and cuts everything to the screen.
func (m *topModel) fill(lines, bottom []string) string {
	for len(lines) < m.size.height-len(bottom) {
		lines = append(lines, "")
	}
	lines = append(lines[:max(0, min(len(lines), m.size.height-len(bottom)))], bottom...)
	lines = lines[:min(len(lines), max(1, m.size.height))]
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, m.size.width, "…")
	}
	return strings.Join(lines, "\n")
}

func upTo(n int, lines []string) []string { return lines[:max(0, min(n, len(lines)))] }

// title is the first line: what all workers come to.
func (m *topModel) title() string {
	var ready, desired int
	var cpu, rate float64
	var memory uint64
	for _, run := range m.runs {
		for _, p := range run.status.Pools {
			desired += p.Desired
			if run.silent == "" { // nobody knows of those of one that does not answer
				ready += p.Ready
			}
			for _, w := range p.Workers {
				cpu, memory, rate = cpu+w.CPUPercent, memory+w.RSSBytes, rate+run.past[w.ID].rate
			}
		}
	}
	parts := []string{m.styles.title.Render("snakepit top")}
	if !m.now.IsZero() {
		parts = append(parts, m.now.In(m.zone).Format("15:04:05"))
	}
	if desired > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d ready", ready, desired), fmt.Sprintf("CPU %.1f%%", cpu),
			"memory "+humanBytes(memory), fmt.Sprintf("%.1f calls/s", rate))
	}
	return strings.Join(parts, "  ")
}

// runLines are one line for each run, as many as are no burden to a small screen,
// and what could not be looked at. Where there is no room for all, those that are not
// well come first.
func (m *topModel) runLines() []string {
	runs, room := slices.Clone(m.runs), max(1, m.size.height/4)
	if len(runs) > room {
		slices.SortStableFunc(runs, func(a, b *topRun) int { return b.concern() - a.concern() })
	}
	var lines []string
	if m.problem != "" {
		lines = append(lines, m.styles.bad.Render("✗ "+oneLine(m.problem)))
	}
	for _, run := range runs {
		lines = append(lines, m.runLine(run))
	}
	for _, warning := range m.warnings {
		lines = append(lines, m.styles.warning(oneLine(warning)))
	}
	if len(lines) > room {
		more := fmt.Sprintf("… %d more", len(lines)-room+1)
		lines = append(lines[:room-1], m.styles.faint.Render(more))
	}
	return lines
}

// concern is 1 for a run that is not well, 0 for one that is or that is no more.
func (r *topRun) concern() int {
	if r.status.State == stateEnded {
		return 0
	}
	for _, p := range r.status.Pools {
		if p.Ready < p.Desired {
			return 1
		}
	}
	if r.silent != "" || r.status.State != "running" {
		return 1
	}
	return 0
}

func (m *topModel) runLine(r *topRun) string {
	v := view{styles: m.styles, now: m.now}
	state, message := r.status.State, r.status.Message
	if r.silent != "" {
		state, message = stateUnknown, r.silent
	}
	parts := []string{m.styles.state(state), m.styles.title.Render(r.found.RunID)}
	if state != stateEnded && !r.status.Supervisor.StartedAt.IsZero() {
		parts = append(parts, "up "+humanDuration(m.now.Sub(r.status.Supervisor.StartedAt)))
	}
	switch {
	case message != "":
		parts = append(parts, m.styles.warn.Render(oneLine(message)))
	case len(r.status.Pools) > 0:
		parts = append(parts, fmt.Sprintf("supervisor %d", r.status.Supervisor.PID), v.ready(r.status.Pools, true))
	}
	return strings.Join(parts, "  ")
}

// body is the table, what is known of the chosen worker, and the pane.
func (m *topModel) body(room int) []string {
	rows := m.rows()
	var lines []string
	if room > 8 {
		lines = append(lines, "")
	}
	below := m.below(room - len(lines) - 2) // a head and a row are shown before anything else
	if len(rows) == 0 {
		lines = append(lines, m.nobody())
	} else {
		lines = append(lines, m.table(rows, room-len(lines)-len(below))...)
	}
	for len(lines) < room-len(below) {
		lines = append(lines, "")
	}
	return append(lines, below...)
}

func (m *topModel) nobody() string {
	switch {
	case !m.looked:
		return m.styles.faint.Render("looking …")
	case m.filter != "":
		return fmt.Sprintf("no worker has %q in its run, name or state; Esc shows all", m.filter)
	}
	for _, run := range m.runs {
		if run.status.State == stateEnded {
			return "see what it left: snakepit orphans --run-id " + run.found.RunID
		}
	}
	if len(m.runs) > 0 {
		return m.styles.faint.Render("no worker is known yet")
	}
	return nothingAlive
}

// below is what stands under the table: a line about the chosen worker, and the pane
// with about half of the room.
func (m *topModel) below(room int) []string {
	switch {
	case m.pane == nil && room >= 2:
		return []string{m.detail()}
	case m.pane == nil || room < 2:
		return nil
	}
	height := max(1, (room-1)/2)
	rule := fmt.Sprintf("── %s of %s/%s ", m.pane.what, m.pane.found.RunID, m.pane.worker)
	lines := []string{m.styles.faint.Render(rule + strings.Repeat("─", max(0, m.size.width-ansi.StringWidth(rule))))}
	text := m.pane.lines
	switch {
	case m.pane.ended:
		text = append(text[:len(text):len(text)], m.styles.faint.Render("the run has ended"))
	case len(text) == 0:
		text = []string{m.styles.faint.Render("nothing yet")}
	}
	lines = append(lines, text[max(0, len(text)-height):]...)
	for len(lines) < height+1 {
		lines = append(lines, "")
	}
	return lines
}

// detail is what the table has no room for.
func (m *topModel) detail() string {
	row, ok := m.chosenRow()
	if !ok && m.picked && len(m.rows()) > 0 {
		return m.styles.faint.Render(m.chosen.worker + " of run " + m.chosen.run + " is not shown any more: choose another")
	}
	if !ok {
		return ""
	}
	w := row.worker
	var parts []string
	if w.Message != "" {
		parts = append(parts, m.styles.warn.Render(oneLine(w.Message)))
	}
	if w.Health != nil {
		parts = append(parts, "healthy "+humanDuration(m.now.Sub(w.Health.At))+" ago")
	}
	calls := count(int(w.Calls.Ended), "call", "calls")
	if w.Calls.Failed > 0 {
		calls += fmt.Sprintf(", %d failed", w.Calls.Failed)
	}
	if w.Calls.Running > 0 {
		calls += ", 1 running"
	}
	parts = append(parts, calls, fmt.Sprintf("PID %s  port %s  incarnation %d", number(w.PID), number(w.Port), w.Incarnation))
	if w.LastExit != "" {
		parts = append(parts, "last exit "+oneLine(w.LastExit))
	}
	return m.styles.title.Render(w.ID) + "  " + strings.Join(parts, "  ")
}

// bottom is a question, or what became of the last order, or the keys.
func (m *topModel) bottom() []string {
	s := m.styles
	switch {
	case m.mode == topConfirm:
		return m.questionLines()
	case m.mode == topFilter:
		return []string{s.title.Render("/") + m.filter + "▏ " + s.faint.Render("Enter keeps it, Esc shows all")}
	case m.mode == topHelp:
		return []string{s.faint.Render("any key goes back, q leaves")}
	case m.said.text != "":
		return m.saidLines()
	}
	return []string{m.keyLine()}
}

// questionLines are wrapped, and what they ask about is never cut: a yes is to what was
// read.
func (m *topModel) questionLines() []string {
	const answers = "y yes, any other key no"
	question := m.pending.question()
	if ansi.StringWidth(question)+2+len(answers) <= m.size.width {
		return []string{m.styles.warn.Render(question) + "  " + m.styles.title.Render("y") + answers[1:]}
	}
	var lines []string
	for _, line := range wrapWords(question, m.size.width) {
		lines = append(lines, m.styles.warn.Render(line))
	}
	return append(lines, wrapWords(answers, m.size.width)...)
}

// keyLine names as many keys as fit.
func (m *topModel) keyLine() string {
	graph := "calls"
	if m.graph == topCalls {
		graph = "CPU"
	}
	keys := [][2]string{
		{"?", "help"},
		{"q", "quit"},
		{"s", "sort"},
		{"/", "filter"},
		{"c", graph},
		{"l", "logs"},
		{"e", "events"},
		{"r", "restart"},
		{"x X", "stop"},
	}
	if m.filter != "" {
		keys = append([][2]string{{"/" + m.filter, "Esc shows all"}}, keys...)
	}
	var line string
	for _, key := range keys {
		more := m.styles.title.Render(key[0]) + " " + m.styles.faint.Render(key[1])
		if line != "" {
			more = "  " + more
		}
		if ansi.StringWidth(line+more) > m.size.width {
			break
		}
		line += more
	}
	return line
}

// saidLines are wrapped: an error is worth more lines than one.
func (m *topModel) saidLines() []string {
	var lines []string
	for line := range strings.Lines(m.said.text) {
		line = strings.TrimSuffix(line, "\n")
		lines = append(lines, wrapWords(line, m.size.width)...)
	}
	return upTo(max(1, m.size.height/3), lines)
}

func topHelpLines(s *styles) []string {
	keys := [][2]string{
		{"up down j k", "choose a worker; PgUp PgDn Home End too"},
		{"s S", "sort by the next column; turn the order around"},
		{"/", "show what has a text in run, name or state"},
		{"c", "draw CPU, or calls per second"},
		{"l e", "follow the worker's logs, its events"},
		{"r", "restart the worker"},
		{"x X", "stop the worker, its whole run"},
		{"Esc", "close the pane, show all workers"},
		{"q Ctrl-C", "leave; no run is changed by that"},
	}
	lines := []string{""}
	for _, key := range keys {
		lines = append(lines, fmt.Sprintf("  %s%s", s.title.Render(pad(key[0], 13, false)), key[1]))
	}
	return lines
}
