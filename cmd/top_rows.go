package cmd

import (
	"cmp"
	"slices"
	"strings"
)

// topKey names a worker.
type topKey struct{ run, worker string }

// topRow is one worker as it is shown.
type topRow struct {
	run    *topRun
	pool   *poolStatus
	worker *workerStatus
	past   *topPast
}

func (r topRow) key() topKey { return topKey{r.run.found.RunID, r.worker.ID} }

// state is what is known now: a supervisor that does not answer may have changed it.
func (r topRow) state() string {
	if r.run.silent != "" {
		return stateUnknown
	}
	return r.worker.State
}

// topSort is the order of the rows.
type topSort struct {
	by     int // of topOrders
	upside bool
}

// topOrders are what can be sorted by, under the heads of the columns. What wants to
// be seen comes first; workers that are alike stay in the order of their names.
func topOrders() []struct {
	head    string
	compare func(a, b topRow) int
} {
	return []struct {
		head    string
		compare func(a, b topRow) int
	}{
		{"WORKER", func(_, _ topRow) int { return 0 }},
		{"STATE", func(a, b topRow) int { return cmp.Compare(urgency(b.state()), urgency(a.state())) }},
		{"CPU", func(a, b topRow) int { return cmp.Compare(b.worker.CPUPercent, a.worker.CPUPercent) }},
		{"MEMORY", func(a, b topRow) int { return cmp.Compare(b.worker.RSSBytes, a.worker.RSSBytes) }},
		{"CALLS/S", func(a, b topRow) int { return cmp.Compare(b.past.rate, a.past.rate) }},
		{"HEALTH", func(a, b topRow) int { return cmp.Compare(latency(b.worker), latency(a.worker)) }},
		{"RESTARTS", func(a, b topRow) int { return cmp.Compare(b.worker.Restarts, a.worker.Restarts) }},
		{"UPTIME", func(a, b topRow) int { return cmp.Compare(b.worker.UptimeSeconds, a.worker.UptimeSeconds) }},
	}
}

// urgency says how much a state wants to be seen.
func urgency(state string) int {
	return slices.Index([]string{"stopped", "ready", "pending", "starting", "stopping", "releasing", "backoff", stateUnknown, "blocked", "failed"}, state)
}

func latency(w *workerStatus) float64 {
	if w.Health == nil {
		return -1
	}
	return w.Health.TookMS
}

// rows are the workers that pass the filter, sorted.
func (m *topModel) rows() []topRow {
	var rows []topRow
	for _, run := range m.runs {
		for _, p := range run.status.Pools {
			for _, w := range p.Workers {
				row := topRow{run, p, w, run.past[w.ID]}
				if m.passes(row) {
					rows = append(rows, row)
				}
			}
		}
	}
	compare := topOrders()[m.sort.by].compare
	slices.SortStableFunc(rows, compare)
	if m.sort.upside {
		slices.Reverse(rows)
	}
	return rows
}

func (m *topModel) passes(r topRow) bool {
	for _, text := range []string{r.run.found.RunID, r.worker.ID, r.state()} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(m.filter)) {
			return true
		}
	}
	return false
}

func (m *topModel) chosenRow() (topRow, bool) {
	rows := m.rows()
	at := chosenAt(rows, m.chosen)
	if at < 0 {
		return topRow{}, false
	}
	return rows[at], true
}

func chosenAt(rows []topRow, key topKey) int {
	return slices.IndexFunc(rows, func(r topRow) bool { return r.key() == key })
}

// keepChosen chooses the first row when nobody has chosen another, or when a person
// has had that hidden.
func (m *topModel) keepChosen() {
	if rows := m.rows(); len(rows) > 0 && (!m.picked || chosenAt(rows, m.chosen) < 0) {
		m.chosen = rows[0].key()
	}
}

// stayChosen is keepChosen after a look. A row that somebody has chosen and that is no
// more has no successor: the next key would hit what nobody has chosen.
func (m *topModel) stayChosen() {
	if !m.picked {
		m.keepChosen()
	}
}

// move chooses another row, so many further down.
func (m *topModel) move(by int) {
	rows := m.rows()
	if len(rows) == 0 {
		return
	}
	m.picked = true
	at := min(max(chosenAt(rows, m.chosen)+by, 0), len(rows)-1)
	m.chosen = rows[at].key()
}
