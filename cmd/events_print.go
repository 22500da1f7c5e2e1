package cmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// eventPrinter draws events as a table that grows: the columns of what comes
// later are as wide as those before.
type eventPrinter struct {
	out    io.Writer
	styles *styles
	screen screen
	zone   *time.Location
	widths []int // so far; nil before anything was printed
}

func newEventPrinter(env *Env) *eventPrinter {
	return &eventPrinter{
		out: env.Out, styles: newStyles(env.Out), screen: screenOf(env.Out), zone: env.Now().Location(),
	}
}

func (p *eventPrinter) print(events []eventLine) error {
	if len(events) == 0 {
		return nil
	}
	columns := p.columns(events)
	first := p.widths == nil
	if first {
		p.widths = make([]int, len(columns))
	}
	for i := range columns[:len(columns)-1] { // nothing stands behind the last one
		p.widths[i] = max(p.widths[i], columns[i].width())
		columns[i].head = pad(columns[i].head, p.widths[i], columns[i].right)
	}
	text := p.styles.table(fit(columns, p.screen.width))
	if !first {
		_, text, _ = strings.Cut(text, "\n")
	}
	_, err := fmt.Fprintln(p.out, text)
	return err
}

// pad makes the head as wide as its column is to be.
func pad(head string, width int, right bool) string {
	blanks := strings.Repeat(" ", max(0, width-ansi.StringWidth(head)))
	if right {
		return blanks + head
	}
	return head + blanks
}

func (p *eventPrinter) columns(events []eventLine) []column {
	columns := []column{
		{head: "TIME"}, {head: "WORKER"}, {head: "EVENT"}, {head: "PID", right: true}, {head: "PORT", right: true}, {head: "REASON"},
	}
	for _, e := range events {
		cells := []string{
			e.Time.In(p.zone).Format("2006-01-02 15:04:05.000"), oneLine(e.Worker), p.what(e.Record),
			number(e.PID), number(e.Port), oneLine(reasonOf(e.Record)),
		}
		for i := range columns {
			columns[i].cells = append(columns[i].cells, cells[i])
		}
	}
	return columns
}

// what is the state that a worker came into, or the name of another event.
func (p *eventPrinter) what(r telemetry.Record) string {
	name := oneLine(r.Event)
	switch r.Event {
	case telemetry.WorkerState:
		return p.styles.state(oneLine(r.To))
	case telemetry.CleanupSuccess, telemetry.RunReady:
		return p.styles.good.Render(name)
	case telemetry.OrphansFound, telemetry.EmergencyKill:
		return p.styles.bad.Render(name)
	}
	return name
}

// reasonOf is the reason, behind what was counted.
func reasonOf(r telemetry.Record) string {
	var parts []string
	if r.Count != nil && r.Event != telemetry.CleanupSuccess {
		parts = append(parts, fmt.Sprint(*r.Count))
	}
	if len(r.PIDs) > 0 {
		parts = append(parts, "PID "+joinInts(r.PIDs, ", "))
	}
	if r.Reason != "" {
		parts = append(parts, r.Reason)
	}
	return strings.Join(parts, ": ")
}
