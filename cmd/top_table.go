package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// topGraph is what the small graphs show.
type topGraph int

const (
	topCPU topGraph = iota
	topCalls
	topGraphs // how many there are
)

// leastWidths keep columns from jumping with every figure.
func leastWidths() map[string]int {
	return map[string]int{"STATE": 10, "PID": 7, "CPU": 6, "MEMORY": 8, "CALLS/S": 7, "HEALTH": 7, "UPTIME": 6}
}

// table is the head and as many rows as there is room for, the chosen one among them.
func (m *topModel) table(rows []topRow, room int) []string {
	shown := min(len(rows), max(1, room-1))
	first := min(max(0, chosenAt(rows, m.chosen)-shown/2), len(rows)-shown)
	columns := m.columns(rows[first:first+shown], m.full(rows))
	for i := range columns {
		columns[i] = m.headed(columns[i])
	}
	columns = fit(columns, m.size.width, "PID", "UPTIME", "RESTARTS", "HEALTH", "MEMORY", "CALLS/S", "TREND")
	return strings.Split(m.styles.table(columns), "\n")
}

// headed marks the head that is sorted by, and gives its column the least width.
func (m *topModel) headed(c column) column {
	head := c.head
	if topOrders()[m.sort.by].head == strings.TrimSpace(head) {
		sign := "▾"
		if m.sort.upside {
			sign = "▴"
		}
		head = m.styles.title.Render(strings.Replace(head, strings.TrimSpace(head), sign+strings.TrimSpace(head), 1))
	}
	c.shown = pad(head, leastWidths()[c.head], c.right)
	return c
}

func (m *topModel) columns(rows []topRow, full float64) []column {
	heads := []string{"  WORKER", "STATE", "PID", "CPU", "TREND", "CALLS/S", "MEMORY", "HEALTH", "RESTARTS", "UPTIME"}
	if m.graph == topCalls { // it stands behind the figure that it is about
		heads[4], heads[5] = heads[5], heads[4]
	}
	if len(m.runs) > 1 {
		heads = slices.Insert(heads, 1, "RUN")
	}
	if m.size.width >= 120 {
		heads = append(heads, "MESSAGE")
	}
	var columns []column
	for _, head := range heads {
		columns = append(columns, column{head: head, right: isNumber(head) || head == "CALLS/S"})
	}
	for _, row := range rows {
		cells := m.cells(row, full)
		for i := range columns {
			columns[i].cells = append(columns[i].cells, cells[columns[i].head])
		}
	}
	return columns
}

// full is the sample that fills a cell of the graphs: a whole core, or the most calls.
func (m *topModel) full(rows []topRow) float64 {
	if m.graph == topCPU {
		return 100
	}
	most := 1.0
	for _, row := range rows {
		for _, rate := range row.past.calls {
			most = max(most, rate)
		}
	}
	return most
}

func (m *topModel) graphWidth() int { return min(max(8, m.size.width/10), 40) }

func (m *topModel) cells(row topRow, full float64) map[string]string {
	w, mark, name := row.worker, "  ", row.worker.ID
	if row.key() == m.chosen {
		mark, name = m.styles.title.Render("▸ "), m.styles.title.Render(w.ID)
	}
	samples := row.past.cpu
	if m.graph == topCalls {
		samples = row.past.calls
	}
	cells := map[string]string{
		"  WORKER": mark + name, "RUN": row.run.found.RunID, "STATE": m.styles.state(row.state()), "PID": number(w.PID),
		"TREND":   m.styles.graph.Render(sparkline(samples, full, m.graphWidth())),
		"CALLS/S": fmt.Sprintf("%.1f", row.past.rate), "RESTARTS": strconv.Itoa(w.Restarts),
		"CPU": "-", "MEMORY": "-", "UPTIME": "-", "HEALTH": "-", "MESSAGE": oneLine(w.Message),
	}
	if w.PID > 0 && !w.startedAt.IsZero() {
		cells["CPU"] = fmt.Sprintf("%.1f%%", w.CPUPercent)
		cells["MEMORY"] = humanBytes(w.RSSBytes)
		cells["UPTIME"] = humanDuration(m.now.Sub(w.startedAt))
	}
	if w.Health != nil {
		cells["HEALTH"] = m.health(w)
	}
	return cells
}

// staleHealth is when the age of an answer says more than its latency: a worker is
// asked every few seconds, unless it was told otherwise.
const staleHealth = 20 * time.Second

func (m *topModel) health(w *workerStatus) string {
	if age := m.now.Sub(w.Health.At); age > staleHealth && w.State == "ready" {
		return humanDuration(age) + " ago"
	}
	return fmt.Sprintf("%.1f ms", w.Health.TookMS)
}
