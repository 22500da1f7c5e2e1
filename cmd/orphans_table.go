package cmd

import (
	"strconv"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/orphans"
)

// orphansDocument is what orphans -o json prints (schema_version 1).
type orphansDocument struct {
	SchemaVersion int              `json:"schema_version"`
	Scanned       int              `json:"scanned"`
	Unreadable    int              `json:"unreadable"` // of these, those that may be anything
	Processes     []orphanDocument `json:"processes"`
}

type orphanDocument struct {
	PID       int       `json:"pid"`
	PPID      int       `json:"ppid"`
	RunID     string    `json:"run_id"`
	Verdict   string    `json:"verdict"`
	StartedAt time.Time `json:"started_at"`
	Command   string    `json:"command"`
	Ports     []int     `json:"ports"`
	Evidence  []string  `json:"evidence"`
}

func orphansDocumentOf(report orphans.Report) orphansDocument {
	d := orphansDocument{SchemaVersion: 1, Scanned: report.Scanned, Unreadable: report.Unreadable, Processes: []orphanDocument{}}
	for _, f := range report.Processes {
		d.Processes = append(d.Processes, orphanDocument{
			PID: f.Process.PID, PPID: f.Process.PPID, RunID: f.RunID, Verdict: string(f.Verdict), StartedAt: f.StartedAt.UTC(),
			Command: strings.Join(f.Process.Args, " "), Ports: append([]int{}, f.Ports...), Evidence: append([]string{}, f.Evidence...),
		})
	}
	return d
}

// orphanColumns of the processes. Wide shows everything at any width; otherwise
// the command is cut to the terminal, and then what matters least goes.
func (v view) orphanColumns(found []orphans.Finding) []column {
	columns := []column{
		{head: "PID", right: true},
		{head: "RUN"},
		{head: "VERDICT"},
		{head: "AGE", right: true},
		{head: "PORTS", right: true},
		{head: "MEMORY", right: true},
		{head: "COMMAND"},
	}
	if v.wide {
		columns = []column{
			{head: "PID", right: true},
			{head: "PPID", right: true},
			{head: "USER"},
			{head: "RUN"},
			{head: "VERDICT"},
			{head: "AGE", right: true},
			{head: "PORTS", right: true},
			{head: "MEMORY", right: true},
			{head: "COMMAND"},
			{head: "EVIDENCE"},
		}
	}
	for _, f := range found {
		cells := v.orphanCells(f)
		for i := range columns {
			columns[i].cells = append(columns[i].cells, cells[columns[i].head])
		}
	}
	if v.wide {
		return columns
	}
	return fit(columns, v.width, "MEMORY", "AGE", "PORTS")
}

func (v view) orphanCells(f orphans.Finding) map[string]string {
	cells := map[string]string{
		"PID": strconv.Itoa(f.Process.PID), "PPID": strconv.Itoa(f.Process.PPID), "USER": orphans.UserName(f.Process.UID),
		"RUN": oneLine(f.RunID), "VERDICT": v.verdict(f), "AGE": "-", "PORTS": "-", "MEMORY": "-",
		"COMMAND": v.command(f.Process.Args), "EVIDENCE": oneLine(strings.Join(f.Evidence, "; ")),
	}
	if !f.StartedAt.IsZero() {
		cells["AGE"] = humanDuration(v.now.Sub(f.StartedAt))
	}
	if len(f.Ports) > 0 {
		cells["PORTS"] = joinInts(f.Ports, ",")
	}
	if f.RSSBytes > 0 {
		cells["MEMORY"] = humanBytes(f.RSSBytes)
	}
	return cells
}

// verdict is that on a process, which may be dead itself.
func (v view) verdict(f orphans.Finding) string {
	if f.Process.State.IsDead() {
		return v.styles.faint.Render("○ " + string(f.Verdict))
	}
	return v.styles.state(string(f.Verdict))
}
