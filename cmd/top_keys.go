package cmd

import (
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// onKey is one key. What it does depends on what the keys are for at that moment.
func (m *topModel) onKey(key tea.KeyPressMsg) tea.Cmd {
	switch key.String() {
	case "ctrl+c":
		return m.quit()
	case "ctrl+z":
		return tea.Suspend
	}
	switch m.mode {
	case topFilter:
		m.typeFilter(key)
		return nil
	case topConfirm:
		return m.answerConfirm(key)
	case topHelp:
		m.mode = topBrowse
		if key.String() == "q" {
			return m.quit()
		}
		return nil
	}
	if m.doing == 0 {
		m.said = topDone{} // it has been read
	}
	return m.browse(key)
}

func (m *topModel) browse(key tea.KeyPressMsg) tea.Cmd {
	switch key.String() {
	case "q":
		return m.quit()
	case "?", "h":
		m.mode = topHelp
	case "/":
		m.mode = topFilter
	case "s":
		m.sort.by = (m.sort.by + 1) % len(topOrders())
		m.keepChosen()
	case "S":
		m.sort.upside = !m.sort.upside
		m.keepChosen()
	case "c":
		m.graph = (m.graph + 1) % topGraphs
	case "r":
		m.confirm(topRestart)
	case "x":
		m.confirm(topStopWorker)
	case "X":
		m.confirm(topStopRun)
	case "l":
		return m.togglePane(topLogs)
	case "e":
		return m.togglePane(topEvents)
	case "esc":
		m.back()
	default:
		return m.choose(key)
	}
	return nil
}

// back undoes what is open or hidden, the last first.
func (m *topModel) back() {
	if m.pane != nil {
		m.closePane()
		return
	}
	m.filter = ""
	m.keepChosen()
}

// choose moves through the rows; an open pane goes along.
func (m *topModel) choose(key tea.KeyPressMsg) tea.Cmd {
	before := m.chosen
	page := max(1, m.size.height/2)
	switch key.String() {
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-page)
	case "pgdown", "space":
		m.move(page)
	case "home", "g":
		m.move(-len(m.rows()))
	case "end", "G":
		m.move(len(m.rows()))
	}
	if m.pane != nil && m.chosen != before {
		return m.openPane(m.pane.what)
	}
	return nil
}

func (m *topModel) togglePane(what topPaneKind) tea.Cmd {
	if m.pane != nil && m.pane.what == what {
		m.closePane()
		return nil
	}
	return m.openPane(what)
}

func (m *topModel) typeFilter(key tea.KeyPressMsg) {
	switch key.String() {
	case "enter":
		m.mode = topBrowse
	case "esc":
		m.mode, m.filter = topBrowse, ""
	case "ctrl+u":
		m.filter = ""
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-size]
	default:
		m.filter += harmless(key.Text, false)
	}
	m.picked = m.picked || m.filter != "" // what is left is what is meant
	m.keepChosen()
}

// onPaste is text for the filter. Elsewhere it is no command: nobody has pressed
// these keys.
func (m *topModel) onPaste(text string) {
	if m.mode == topFilter {
		m.filter += harmless(text, false)
		m.keepChosen()
	}
}
