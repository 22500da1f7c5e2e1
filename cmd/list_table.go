package cmd

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// view is how runs are drawn for people; it is all that drawing depends on.
type view struct {
	styles *styles
	width  int // 0: nothing is cut
	now    time.Time
	wide   bool
}

// tables draws every run: a header, then its workers.
func (v view) tables(runs []*runStatus) string {
	var blocks []string
	for _, run := range runs {
		block := v.header(run)
		if columns := v.columns(run); len(columns[0].cells) > 0 {
			block += "\n" + v.styles.table(columns)
		}
		blocks = append(blocks, block)
	}
	return strings.Join(blocks, "\n\n")
}

// header is the line that says how a run is, and below it why it is not well. Where it
// has no room, the pools go, then the supervisor.
func (v view) header(run *runStatus) string {
	line := v.headline(run, true, true)
	for _, with := range [][2]bool{{true, false}, {false, false}} {
		if v.width > 0 && !v.wide && ansi.StringWidth(line) > v.width {
			line = v.headline(run, with[0], with[1])
		}
	}
	if run.Message != "" {
		line += "\n" + hanging("  ", oneLine(run.Message), v.width, v.styles.warn)
	}
	return line
}

func (v view) headline(run *runStatus, supervisor, pools bool) string {
	parts := []string{v.styles.title.Render(run.RunID), v.styles.state(run.State)}
	if run.Supervisor.PID > 0 && supervisor {
		parts = append(parts, fmt.Sprintf("supervisor %d", run.Supervisor.PID))
	}
	if !run.Supervisor.StartedAt.IsZero() && run.State != stateEnded {
		parts = append(parts, "up "+humanDuration(v.now.Sub(run.Supervisor.StartedAt)))
	}
	if len(run.Pools) > 0 {
		parts = append(parts, v.ready(run.Pools, pools))
	}
	return strings.Join(parts, "  ")
}

// ready is how many workers are, of all pools and, if asked for, of each.
func (v view) ready(pools []*poolStatus, each bool) string {
	var ready, desired int
	var parts []string
	for _, p := range pools {
		ready, desired = ready+p.Ready, desired+p.Desired
		parts = append(parts, fmt.Sprintf("%s %d/%d", p.Name, p.Ready, p.Desired))
	}
	text := fmt.Sprintf("%d/%d ready", ready, desired)
	if ready < desired {
		text = v.styles.warn.Render(text)
	}
	if len(pools) > 1 && each {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

// columns of a run's workers. Wide shows everything at any width; otherwise the
// message is cut to the terminal, and then what matters least goes.
func (v view) columns(run *runStatus) []column {
	heads := []string{"WORKER", "STATE", "PID", "PORT", "UPTIME", "RESTARTS", "MEMORY", "CPU", "LAST EXIT", "MESSAGE"}
	if v.wide {
		heads = []string{
			"WORKER", "POOL", "STATE", "PID", "INCARNATION", "HOST", "PORT", "STARTED", "BY", "UPTIME",
			"RESTARTS", "MEMORY", "CPU", "CALLS", "FAILED", "HEALTH", "ANSWERED", "LAST EXIT", "MESSAGE",
		}
	}
	var columns []column
	for _, head := range heads {
		columns = append(columns, column{head: head, right: isNumber(head)})
	}
	for _, p := range run.Pools {
		for _, w := range p.Workers {
			cells := v.cells(p, w)
			for i := range columns {
				columns[i].cells = append(columns[i].cells, cells[columns[i].head])
			}
		}
	}
	if v.wide {
		return columns
	}
	return fit(columns, v.width, "CPU", "LAST EXIT", "RESTARTS", "MEMORY", "UPTIME", "PORT")
}

func isNumber(head string) bool {
	switch head {
	case "PID", "INCARNATION", "PORT", "UPTIME", "RESTARTS", "MEMORY", "CPU", "CALLS", "FAILED", "HEALTH", "ANSWERED":
		return true
	}
	return false
}

// cells of a worker by their column. What only a process has is a dash without one.
func (v view) cells(p *poolStatus, w *workerStatus) map[string]string {
	cells := map[string]string{
		"WORKER": w.ID, "POOL": p.Name, "STATE": v.styles.state(w.State), "HOST": cmp.Or(w.host, "-"), "PORT": number(w.Port),
		"INCARNATION": strconv.FormatUint(w.Incarnation, 10), "RESTARTS": strconv.Itoa(w.Restarts),
		"PID": number(w.PID), "UPTIME": "-", "MEMORY": "-", "CPU": "-", "STARTED": "-",
		"CALLS": strconv.FormatUint(w.Calls.Ended, 10), "FAILED": strconv.FormatUint(w.Calls.Failed, 10), "HEALTH": "-", "ANSWERED": "-",
		"BY":        cmp.Or(w.StartMethod, "-"),
		"LAST EXIT": oneLine(w.LastExit), "MESSAGE": oneLine(w.Message),
	}
	if w.PID > 0 && !w.startedAt.IsZero() {
		cells["UPTIME"] = humanDuration(time.Duration(w.UptimeSeconds * float64(time.Second)))
		cells["MEMORY"] = humanBytes(w.RSSBytes)
		cells["CPU"] = fmt.Sprintf("%.1f%%", w.CPUPercent)
		cells["STARTED"] = w.startedAt.In(v.now.Location()).Format(time.DateTime)
	}
	if w.Health != nil {
		cells["HEALTH"] = fmt.Sprintf("%.1f ms", w.Health.TookMS)
		cells["ANSWERED"] = humanDuration(v.now.Sub(w.Health.At)) + " ago"
	}
	return cells
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}
