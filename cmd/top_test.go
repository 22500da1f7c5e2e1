package cmd

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// deafSource notes what is wanted of it, and answers nothing: the test does.
type deafSource struct {
	asked    []string
	orders   []topOrder
	followed []topPaneOf
	news     chan topNews
}

func (s *deafSource) find() topFound                   { return topFound{} }
func (s *deafSource) ask(f rundir.Found) (a topAnswer) { s.asked = append(s.asked, f.RunID); return a }

func (s *deafSource) act(o topOrder) topDone {
	s.orders = append(s.orders, o)
	return topDone{text: "done"}
}

func (s *deafSource) follow(_ context.Context, of topPaneOf) <-chan topNews {
	s.followed = append(s.followed, of)
	return s.news
}

// topTable is a top that a test tells what there is.
type topTable struct {
	*topModel
	t      *testing.T
	source *deafSource
}

func newTopTable(t *testing.T) *topTable {
	source := &deafSource{news: make(chan topNews, 4)}
	return &topTable{newTopModel(source, newStyles(io.Discard), time.Second, time.UTC), t, source}
}

// tell gives messages to the model, and carries out the commands that come of them,
// but for the one that waits for more news.
func (m *topTable) tell(messages ...tea.Msg) {
	for _, message := range messages {
		_, cmd := m.Update(message)
		if _, waits := message.(topNews); !waits {
			m.carryOut(cmd)
		}
	}
}

func (m *topTable) carryOut(cmd tea.Cmd) (got []tea.Msg) {
	if cmd == nil {
		return nil
	}
	message := cmd()
	if batch, ok := message.(tea.BatchMsg); ok {
		for _, one := range batch {
			got = append(got, m.carryOut(one)...)
		}
		return got
	}
	return append(got, message)
}

func (m *topTable) press(keys string) (got []tea.Msg) {
	for _, r := range keys {
		got = append(got, m.pressKey(tea.Key{Text: string(r), Code: r})...)
	}
	return got
}

func (m *topTable) pressKey(key tea.Key) []tea.Msg {
	_, cmd := m.Update(tea.KeyPressMsg(key))
	return m.carryOut(cmd)
}

func foundRun(id string, alive bool) rundir.Found {
	supervisor := 1234
	for _, run := range sampleRuns() {
		if run.RunID == id {
			supervisor = run.Supervisor.PID
		}
	}
	return rundir.Found{RunID: id, Dir: "/runs/" + id, Alive: alive, Record: &rundir.Record{
		RunID: id, State: rundir.StateRunning, Supervisor: rundir.Process{PID: supervisor, Start: 1, StartedAt: noon.Add(-time.Hour)},
	}}
}

// look is the n-th look at the sample runs: each has used some CPU and had some calls.
func (m *topTable) look(n int) {
	at := noon.Add(time.Duration(n) * time.Second)
	m.tell(topFound{at: at, found: []rundir.Found{foundRun("demo", true), foundRun("fresh", true), foundRun("mute", true), foundRun("old", n == 0), foundRun("older", false)}})
	for _, run := range sampleRuns() {
		run.askedAt = at
		if run.RunID == "mute" {
			run.askedAt = time.Time{}
		}
		for i, w := range allWorkers(run) {
			w.cpuSeconds += float64(n*n) * float64(i+1) / 40
			w.Calls.Ended += uint64(n * n * (3 - i%3))
		}
		m.tell(topAnswer{run.RunID, run})
	}
}

func allWorkers(run *runStatus) (all []*workerStatus) {
	for _, p := range run.Pools {
		all = append(all, p.Workers...)
	}
	return all
}

// looked is a top that has looked some times.
func looked(t *testing.T) *topTable {
	m := newTopTable(t)
	for n := range 9 {
		m.look(n)
	}
	return m
}

func (m *topTable) at(width, height int) string {
	m.tell(tea.WindowSizeMsg{Width: width, Height: height})
	return m.draw()
}

func TestTopViews(t *testing.T) {
	m := looked(t)
	checkGolden(t, "top_80x24.txt", m.at(80, 24))
	checkGolden(t, "top_120x40.txt", m.at(120, 40))
	checkGolden(t, "top_60x15.txt", m.at(60, 15))
	m.press("?")
	checkGolden(t, "top_help_60x15.txt", m.at(60, 15))
	m.press(" ")
	m.press("jkss")
	m.press("c")
	m.press("l")
	m.tell(topNews{pane: 1, from: m.source.news, lines: []logLine{
		{worker: "api-0", LogLine: rundir.LogLine{Time: noon, Text: "hello \x1b[2J日本"}}, {worker: "api-0", LogLine: rundir.LogLine{Text: "no time"}},
	}})
	m.press("r")
	checkGolden(t, "top_pane_80x24.txt", m.at(80, 24))
}

// TestTopFits: whatever the size, nothing is wider or longer than the screen.
func TestTopFits(t *testing.T) {
	m := looked(t)
	m.warnings = []string{"something is odd"}
	for _, keys := range []string{"", "l", "r", "nX", "n/", "demo", "?"} {
		m.press(keys)
		for width := 1; width < 130; width += 3 {
			for height := 1; height < 45; height++ {
				lines := strings.Split(m.at(width, height), "\n")
				if len(lines) > height {
					t.Fatalf("%q, %dx%d: %d lines", keys, width, height, len(lines))
				}
				for _, line := range lines {
					if got := ansi.StringWidth(line); got > width {
						t.Fatalf("%q, %dx%d: a line takes %d: %q", keys, width, height, got, line)
					}
				}
			}
		}
	}
}

func (m *topTable) names() (names []string) {
	for _, row := range m.rows() {
		names = append(names, row.worker.ID)
	}
	return names
}

func TestTopSorts(t *testing.T) {
	m := looked(t)
	for _, step := range []struct{ keys, head, want string }{
		{"", "WORKER", "api-0 api-1 api-10 batch-0 default-0"},
		{"S", "WORKER", "default-0 batch-0 api-10 api-1 api-0"},
		{"Ss", "STATE", "api-10 api-1 default-0 api-0 batch-0"},
		{"s", "CPU", "batch-0 api-0 default-0 api-1 api-10"},
		{"s", "MEMORY", "batch-0 api-0 default-0 api-1 api-10"},
		{"s", "CALLS/S", "api-0 batch-0 default-0 api-1 api-10"},
		{"s", "HEALTH", "api-0 batch-0 api-1 api-10 default-0"},
		{"s", "RESTARTS", "api-10 api-1 batch-0 api-0 default-0"},
		{"s", "UPTIME", "batch-0 api-0 default-0 api-1 api-10"},
		{"s", "WORKER", "api-0 api-1 api-10 batch-0 default-0"},
	} {
		m.press(step.keys)
		if got := strings.Join(m.names(), " "); got != step.want || topOrders()[m.sort.by].head != step.head {
			t.Errorf("%q: by %s: %s, want %s", step.keys, topOrders()[m.sort.by].head, got, step.want)
		}
	}
}

// TestTopChoosesTheFirst whoever has answered first, until somebody chooses.
func TestTopChoosesTheFirst(t *testing.T) {
	m := newTopTable(t)
	m.tell(topFound{at: noon, found: []rundir.Found{foundRun("demo", true), foundRun("fresh", true)}})
	m.tell(topAnswer{"fresh", sampleRuns()[1]}, topAnswer{"demo", sampleRuns()[0]})
	if m.chosen.worker != "api-0" {
		t.Errorf("chosen is %v, not the first row", m.chosen)
	}
	m.press("jS")
	if m.chosen.worker != "api-1" {
		t.Errorf("chosen is %v, not the one that was chosen", m.chosen)
	}
}

func TestTopFilters(t *testing.T) {
	m := looked(t)
	m.press("/")
	m.press("API-1")
	if got := m.names(); !slices.Equal(got, []string{"api-1", "api-10"}) || m.chosen.worker != "api-1" {
		t.Errorf("got %v, chosen %v", got, m.chosen)
	}
	m.pressKey(tea.Key{Code: tea.KeyBackspace})
	if m.filter != "API-" {
		t.Errorf("after Backspace: %q", m.filter)
	}
	m.pressKey(tea.Key{Code: 'u', Mod: tea.ModCtrl})
	m.press("fail")
	m.pressKey(tea.Key{Code: tea.KeyEnter})
	if got := m.names(); !slices.Equal(got, []string{"api-10"}) || m.mode != topBrowse {
		t.Errorf("by state: got %v", got)
	}
	m.pressKey(tea.Key{Code: tea.KeyEsc})
	if got := m.names(); len(got) != 5 {
		t.Errorf("after Esc: got %v", got)
	}
}

// TestTopAsksFirst: nothing is done without a yes, and then to what was asked about.
func TestTopAsksFirst(t *testing.T) {
	m := looked(t)
	m.press("jr")
	if !strings.Contains(m.draw(), "restart api-1 (no process now) of run demo?") {
		t.Errorf("no question:\n%s", m.draw())
	}
	m.press("n")
	m.press("X")
	m.pressKey(tea.Key{Code: tea.KeyEnter})
	m.tell(tea.PasteMsg{Content: "xy"})
	if len(m.source.orders) > 0 {
		t.Fatalf("done without a yes: %+v", m.source.orders)
	}
	for _, order := range []struct {
		keys string
		want topOrder
	}{
		{"gry", topOrder{what: topRestart, worker: "api-0", pid: 2001, workers: 4}},
		{"jjjxy", topOrder{what: topStopWorker, worker: "batch-0", pid: 2004, workers: 4}},
		{"Xy", topOrder{what: topStopRun, worker: "batch-0", pid: 2004, workers: 4}},
	} {
		m.source.orders = nil
		done := m.press(order.keys)
		order.want.found = foundRun("demo", true)
		if diff := cmp.Diff([]topOrder{order.want}, m.source.orders, cmp.AllowUnexported(topOrder{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", order.keys, diff)
		}
		if !strings.Contains(m.draw(), " …") {
			t.Errorf("%s: it does not say that it is at work:\n%s", order.keys, m.draw())
		}
		m.tell(done...)
		if m.doing != 0 || !strings.Contains(m.draw(), "done") {
			t.Errorf("%s: it does not say what became of it:\n%s", order.keys, m.draw())
		}
	}
}

// TestTopConfirmsWhatWasShown: the table may change between the question and the yes.
func TestTopConfirmsWhatWasShown(t *testing.T) {
	m := looked(t)
	m.press("x")
	m.press("")
	m.tell(topFound{at: noon, found: []rundir.Found{foundRun("fresh", true)}})
	m.press("y")
	if len(m.source.orders) != 1 || m.source.orders[0].worker != "api-0" || m.source.orders[0].found.RunID != "demo" {
		t.Errorf("got %+v, want api-0 of demo", m.source.orders)
	}
}

// TestTopHangingSupervisor: it is asked no second time, its rows stay, and say that
// nobody knows; the others are asked on.
func TestTopHangingSupervisor(t *testing.T) {
	m := newTopTable(t)
	both := []rundir.Found{foundRun("demo", true), foundRun("fresh", true)}
	for n := range 5 {
		m.tell(topFound{at: noon.Add(time.Duration(n) * time.Second), found: both})
		if n == 0 {
			m.tell(topAnswer{"demo", sampleRuns()[0]})
		}
		m.tell(topAnswer{"fresh", sampleRuns()[1]})
	}
	if got := strings.Join(m.source.asked, " "); got != "demo fresh demo fresh fresh fresh fresh" {
		t.Errorf("asked %s", got)
	}
	mute := sampleRuns()[2]
	mute.askedAt, mute.Supervisor = time.Time{}, sampleRuns()[0].Supervisor
	m.tell(topAnswer{"demo", mute})
	text := m.at(80, 24)
	if !strings.Contains(strings.Split(text, "\n")[0], " 0/5 ready") {
		t.Errorf("the first line counts those that nobody knows of:\n%s", text)
	}
	if !strings.Contains(text, "◌ unknown  demo  up 3h05m  the supervisor did not answer within 2s") {
		t.Errorf("it does not say so:\n%s", text)
	}
	if strings.Count(text, "api-0 ") == 0 || strings.Contains(strings.Split(text, "api-0 ")[1][:30], "ready") {
		t.Errorf("its workers are shown as if it had answered:\n%s", text)
	}
	m.tell(topAnswer{"demo", sampleRuns()[0]})
	if text := m.draw(); strings.Contains(text, "did not answer") {
		t.Errorf("it has answered again:\n%s", text)
	}
}

// TestTopDyingRun: it is shown as ended, is dropped after a while, and another life
// of the name begins anew.
func TestTopDyingRun(t *testing.T) {
	m := looked(t)
	m.tell(topFound{at: noon, found: []rundir.Found{foundRun("demo", false)}})
	m.tell(topAnswer{"demo", sampleRuns()[0]}) // on its way when it ended
	text := m.at(100, 24)
	if !strings.Contains(text, "○ ended  demo  its supervisor died") || strings.Contains(text, "api-0") {
		t.Errorf("got:\n%s", text)
	}
	if !strings.Contains(text, "see what it left: snakepit orphans --run-id demo") {
		t.Errorf("it says nothing of what to do:\n%s", text)
	}
	again := foundRun("demo", true)
	again.Record.Supervisor.PID++
	m.tell(topFound{at: noon, found: []rundir.Found{again}})
	m.tell(topAnswer{"demo", sampleRuns()[0]}) // of the life before
	if got := m.run("demo").past; len(got) != 0 {
		t.Errorf("another life's answer was taken: %v", got)
	}
	answer := sampleRuns()[0]
	answer.Supervisor.PID++
	m.tell(topAnswer{"demo", answer})
	if got := m.run("demo").past["api-0"].cpu; len(got) != 1 {
		t.Errorf("the past of another life: %v", got)
	}
	m.tell(topFound{at: noon}, topFound{at: noon.Add(2 * topEndedFor)})
	if text := m.at(80, 24); !strings.Contains(text, "no run is alive; start one: snakepit start --workers 8") {
		t.Errorf("got:\n%s", text)
	}
}

// TestTopMissedLife: a run that has ended, and another of its name that was there and
// ended between two looks, leave nothing that seems to live.
func TestTopMissedLife(t *testing.T) {
	m := looked(t)
	again := foundRun("demo", false)
	again.Record.Supervisor.PID++
	m.tell(topFound{at: noon, found: []rundir.Found{again}})
	if text := m.at(80, 24); !strings.Contains(text, "○ ended  demo") {
		t.Errorf("got:\n%s", text)
	}
}

// TestTopKeepsNobodyElse: when the chosen worker goes by itself, a key that was meant
// for it is for nobody.
func TestTopKeepsNobodyElse(t *testing.T) {
	m := looked(t)
	m.press("j")
	m.tell(topFound{at: noon, found: []rundir.Found{foundRun("fresh", true)}})
	run := sampleRuns()[1]
	run.Pools[0].Workers = append(run.Pools[0].Workers, sampleWorker("default-9", "ready", 3001, 0, 0, 0, 0))
	m.tell(topAnswer{"fresh", run})
	m.press("xyry")
	if len(m.source.orders) != 0 {
		t.Errorf("done to somebody else: %+v", m.source.orders)
	}
	if text := m.at(80, 24); !strings.Contains(text, "api-1 of run demo is not shown any more: choose another") {
		t.Errorf("got:\n%s", text)
	}
	m.press("jx")
	if m.pending == nil {
		t.Error("another one cannot be chosen")
	}
}

// TestTopQuestionIsWhole: on a narrow screen, too, it says what it is about and how to
// answer.
func TestTopQuestionIsWhole(t *testing.T) {
	for _, key := range []string{"r", "x", "X"} {
		m := looked(t)
		m.press(key)
		m.pending.found.RunID, m.pending.worker = strings.Repeat("r", 60)+"-run", strings.Repeat("p", 40)+"-123"
		text := strings.ReplaceAll(m.at(60, 15), "\n", "")
		for _, want := range []string{"-run", "y yes, any other key no"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in:\n%s", key, want, m.at(60, 15))
			}
		}
		if key != "X" && !strings.Contains(text, "-123") {
			t.Errorf("%s: the worker is cut off:\n%s", key, m.at(60, 15))
		}
	}
}

func TestTopCannotLook(t *testing.T) {
	m := looked(t)
	m.tell(topFound{at: noon, err: fmt.Errorf("cannot list runs: no")})
	if text := m.at(80, 24); !strings.Contains(text, "✗ cannot list runs: no") || !strings.Contains(text, "api-0") {
		t.Errorf("got:\n%s", text)
	}
}

// TestTopPane: it follows whoever is chosen, and takes no news of a pane before.
func TestTopPane(t *testing.T) {
	m := looked(t)
	m.tell(m.press("e")...)
	m.tell(topNews{pane: 1, from: m.source.news, events: []eventLine{{Record: telemetry.Record{
		Event: telemetry.WorkerState, Worker: "api-0", To: "backoff", PID: 7, Reason: "SIGSEGV", Time: noon,
	}}}})
	if text := m.at(80, 24); !strings.Contains(text, "── events of demo/api-0 ─") || !strings.Contains(text, "12:00:00.000  ◐ backoff  PID 7  SIGSEGV") {
		t.Errorf("got:\n%s", text)
	}
	m.tell(m.press("jl")...)
	m.tell(topNews{pane: 1, from: m.source.news, lines: []logLine{{LogLine: rundir.LogLine{Text: "late"}}}})
	m.tell(topNews{pane: 3, from: m.source.news, err: fmt.Errorf("no\nlog")}, topNews{pane: 3, over: true})
	text := m.draw()
	if !strings.Contains(text, "── logs of demo/api-1 ─") || !strings.Contains(text, "✗ no log") || !strings.Contains(text, "the run has ended") || strings.Contains(text, "late") {
		t.Errorf("got:\n%s", text)
	}
	var got []string
	for _, of := range m.source.followed {
		got = append(got, fmt.Sprint(of.what, " ", of.worker))
	}
	if want := []string{"events api-0", "events api-1", "logs api-1"}; !slices.Equal(got, want) {
		t.Errorf("followed %v, want %v", got, want)
	}
	m.press("l")
	if strings.Contains(m.draw(), "──") {
		t.Errorf("it is not closed:\n%s", m.draw())
	}
}

func TestTopLeaves(t *testing.T) {
	for _, key := range []tea.Key{{Code: 'c', Mod: tea.ModCtrl}, {Code: 'q', Text: "q"}} {
		for _, before := range []string{"", "?", "l"} {
			m := looked(t)
			m.press(before)
			if got := m.pressKey(key); !slices.ContainsFunc(got, func(msg tea.Msg) bool { _, quit := msg.(tea.QuitMsg); return quit }) {
				t.Errorf("%s after %q does not leave: %v", key.Keystroke(), before, got)
			}
		}
	}
}

func TestSparkline(t *testing.T) {
	for _, tt := range []struct {
		samples []float64
		want    string
	}{
		{nil, "     "},
		{[]float64{0, 0.1, 50, 100, 400}, "▁▂▅██"},
		{[]float64{9, 0, 1, 2, 99, 100}, "▁▂▂▉█"},
	} {
		want := strings.ReplaceAll(tt.want, "▉", "█")
		if got := sparkline(tt.samples, 100, 5); got != want {
			t.Errorf("%v: %q, want %q", tt.samples, got, want)
		}
	}
	if got := sparkline([]float64{3}, 0, 2); got != " ▁" {
		t.Errorf("nothing is full: %q", got)
	}
}
