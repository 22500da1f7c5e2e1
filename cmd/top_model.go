package cmd

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"
)

// topModel is everything that top knows. Messages come in, views go out; whatever
// takes time is a command, which the library runs elsewhere.
type topModel struct {
	source   topSource
	styles   *styles
	interval time.Duration
	zone     *time.Location
	size     screen

	now      time.Time
	looked   bool // the first look has come back
	finding  bool // a look is under way
	problem  string
	warnings []string
	runs     []*topRun

	chosen  topKey
	picked  bool // by a person
	sort    topSort
	filter  string
	graph   topGraph
	mode    topMode
	pending *topOrder // to be confirmed
	doing   int       // orders under way
	said    topDone   // how the last one ended
	pane    *topPane  // nil: closed
	panes   int       // that were opened so far
}

// topMode is what the keys are for.
type topMode int

const (
	topBrowse topMode = iota
	topFilter
	topConfirm
	topHelp
)

// topTick is the time for another look.
type topTick struct{}

func newTopModel(source topSource, s *styles, interval time.Duration, zone *time.Location) *topModel {
	return &topModel{source: source, styles: s, interval: interval, zone: zone, size: screen{80, 24}}
}

// Init implements tea.Model.
func (m *topModel) Init() tea.Cmd { return tea.Batch(m.look(), m.tick()) }

func (m *topModel) tick() tea.Cmd {
	return tea.Tick(m.interval, func(time.Time) tea.Msg { return topTick{} })
}

// look asks for the runs there are, unless that is being asked already.
func (m *topModel) look() tea.Cmd {
	if m.finding {
		return nil
	}
	m.finding = true
	return func() tea.Msg { return m.source.find() }
}

// Update implements tea.Model.
func (m *topModel) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch e := message.(type) {
	case tea.WindowSizeMsg:
		m.size = screen{e.Width, e.Height}
	case tea.KeyPressMsg:
		return m, m.onKey(e)
	case tea.PasteMsg:
		m.onPaste(e.Content)
	case topTick:
		return m, tea.Batch(m.look(), m.tick())
	case topFound:
		return m, m.onFound(e)
	case topAnswer:
		m.onAnswer(e)
	case topDone:
		m.doing--
		m.said = e
		return m, m.look() // what has changed is to be seen at once
	case topNews:
		return m, m.onNews(e)
	}
	return m, nil
}

// onFound takes the runs there are, and asks those that live.
func (m *topModel) onFound(f topFound) tea.Cmd {
	m.finding, m.looked, m.now = false, true, f.at
	m.problem, m.warnings = "", f.warnings
	if f.err != nil {
		m.problem = f.err.Error() // what was known stays
		return nil
	}
	m.merge(f.found)
	var ask []tea.Cmd
	for _, run := range m.runs {
		if run.found.Alive && !run.asking {
			run.asking = true
			found := run.found
			ask = append(ask, func() tea.Msg { return m.source.ask(found) })
		}
	}
	return tea.Batch(ask...)
}

func (m *topModel) onAnswer(a topAnswer) {
	if run := m.run(a.id); run != nil && run.isOf(a.status) {
		run.asking = false
		run.take(a.status)
	}
	m.stayChosen()
}

func (m *topModel) run(id string) *topRun {
	for _, run := range m.runs {
		if run.found.RunID == id {
			return run
		}
	}
	return nil
}

// quit leaves top and what it follows.
func (m *topModel) quit() tea.Cmd {
	m.closePane()
	return tea.Quit
}

// openPane follows the chosen worker.
func (m *topModel) openPane(what topPaneKind) tea.Cmd {
	m.closePane()
	row, ok := m.chosenRow()
	if !ok {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.picked = true // by looking at it closely
	m.panes++
	m.pane = &topPane{topPaneOf: topPaneOf{what: what, found: row.run.found, worker: row.worker.ID}, number: m.panes, cancel: cancel}
	of, number := m.pane.topPaneOf, m.panes
	return func() tea.Msg { return topNews{pane: number, from: m.source.follow(ctx, of)} }
}

func (m *topModel) closePane() {
	if m.pane != nil {
		m.pane.cancel()
		m.pane = nil
	}
}
