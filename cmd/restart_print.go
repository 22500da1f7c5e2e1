package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// restartDocument is what restart -o json prints (schema_version 1).
type restartDocument struct {
	SchemaVersion int               `json:"schema_version"`
	Restarted     []restartedWorker `json:"restarted"`
	Failed        []failedWorker    `json:"failed"`
}

type restartedWorker struct {
	Worker    string  `json:"worker"`
	OldPID    int     `json:"old_pid"` // 0: it had no process
	NewPID    int     `json:"new_pid"`
	Port      int     `json:"port"`
	StopMS    float64 `json:"stop_ms"`
	ReleaseMS float64 `json:"release_ms"`
	StartMS   float64 `json:"start_ms"`
	TotalMS   float64 `json:"total_ms"`
}

type failedWorker struct {
	Worker string `json:"worker"`
	Error  string `json:"error"`
}

// document names every worker that was asked for.
func (t *restartTally) document() restartDocument {
	d := restartDocument{SchemaVersion: 1, Restarted: []restartedWorker{}, Failed: []failedWorker{}}
	for _, r := range t.ended {
		if r.Err != nil {
			d.Failed = append(d.Failed, failedWorker{r.Worker, r.Err.Error()})
			continue
		}
		d.Restarted = append(d.Restarted, restartedWorker{
			r.Worker, r.OldPID, r.NewPID, r.Port, millis(r.Stop), millis(r.Release), millis(r.Start), millis(r.Total),
		})
	}
	for _, id := range t.unknown() {
		d.Failed = append(d.Failed, failedWorker{id, t.why()})
	}
	return d
}

// millis is a duration in milliseconds, to a thousandth.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// became says in a word how a restart ended.
func became(r pool.Restarted) string {
	var held *pool.CleanupTimeoutError
	var notReady *pool.NotRestartedError
	switch {
	case r.Err == nil:
		return "ready"
	case errors.As(r.Err, &held):
		return "blocked"
	case errors.As(r.Err, &notReady):
		return "not ready"
	case errors.Is(r.Err, pool.ErrNotTried):
		return "not tried"
	}
	return "failed"
}

// restartedLine is how the restart of one worker ended. Why it failed is said
// at the end.
func restartedLine(s *styles, r pool.Restarted) string {
	line := s.state(became(r)) + "  " + r.Worker
	if errors.Is(r.Err, pool.ErrNotTried) {
		return line
	}
	return fmt.Sprintf("%s  PID %s → %s  port %s  in %s", line, number(r.OldPID), number(r.NewPID), number(r.Port), tookText(r.Total))
}

// restarts is the table of all that have ended, in that order.
func (s *styles) restarts(ended []pool.Restarted, width int) string {
	return s.table(fit(restartColumns(s, ended), width, "OLD PID", "PORT", "RELEASE MS", "STOP MS", "START MS"))
}

func restartColumns(s *styles, ended []pool.Restarted) []column {
	columns := []column{{head: "WORKER"}, {head: "RESULT"}}
	for _, head := range []string{"OLD PID", "NEW PID", "PORT", "STOP MS", "RELEASE MS", "START MS", "TOTAL MS"} {
		columns = append(columns, column{head: head, right: true})
	}
	for _, r := range ended {
		cells := []string{
			r.Worker, s.state(became(r)), number(r.OldPID), number(r.NewPID), number(r.Port),
			phase(r, r.Stop), phase(r, r.Release), phase(r, r.Start), phase(r, r.Total),
		}
		for i := range columns {
			columns[i].cells = append(columns[i].cells, cells[i])
		}
	}
	return columns
}

// phase is a time in milliseconds; a dash stands for one that a failed restart
// did not reach.
func phase(r pool.Restarted, took time.Duration) string {
	if r.Err != nil && took == 0 {
		return "-"
	}
	return strconv.FormatFloat(millis(took), 'f', 1, 64)
}
