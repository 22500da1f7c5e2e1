package cmd

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/snakepit-dev/snakepit/internal/orphans"
)

// killedDocument is what kill-orphans -o json prints (schema_version 1).
type killedDocument struct {
	SchemaVersion int             `json:"schema_version"`
	Killed        []killedProcess `json:"killed"`
	Failed        []failedProcess `json:"failed"`
	Survivors     []int           `json:"survivors"`
}

type killedProcess struct {
	PID    int     `json:"pid"`
	RunID  string  `json:"run_id"`
	Signal string  `json:"signal"`
	TookMS float64 `json:"took_ms"`
}

type failedProcess struct {
	PID   int    `json:"pid"`
	Error string `json:"error"`
}

func killedDocumentOf(result orphans.Result) killedDocument {
	d := killedDocument{SchemaVersion: 1, Killed: []killedProcess{}, Failed: []failedProcess{}, Survivors: append([]int{}, result.Survivors...)}
	for _, k := range result.Killed {
		d.Killed = append(d.Killed, killedProcess{k.PID, k.RunID, k.Signal, float64(k.Took.Microseconds()) / 1000})
	}
	for _, f := range result.Failed {
		d.Failed = append(d.Failed, failedProcess{f.PID, f.Err.Error()})
	}
	return d
}

// printResult says what became of each process, and what it all came to.
func (o *killOrphansOptions) printResult(report orphans.Report, result orphans.Result) error {
	if o.output.value == "json" {
		if err := printJSON(o.env.Out, killedDocumentOf(result)); err != nil {
			return err
		}
	}
	s := newStyles(o.env.Err)
	for _, k := range result.Killed {
		line := fmt.Sprintf("%s  PID %d of run %s  after %s  in %s", s.state("gone"), k.PID, k.RunID, k.Signal, tookText(k.Took))
		if k.Signal == "KILL" {
			line = s.warn.Render(line)
		}
		fmt.Fprintln(o.env.Err, line)
	}
	for _, f := range result.Failed {
		fmt.Fprintln(o.env.Err, s.bad.Render(fmt.Sprintf("✗ PID %d: %v", f.PID, f.Err)))
	}
	for _, err := range result.Errors {
		fmt.Fprintln(o.env.Err, s.bad.Render("✗ "+err.Error()))
	}
	failed := o.failed(result)
	switch {
	case len(result.Killed) > 0 && failed == nil:
		fmt.Fprintf(o.env.Err, "killed %s; no orphans are left\n", count(len(result.Killed), "process", "processes"))
	case len(result.Killed) > 0:
		fmt.Fprintf(o.env.Err, "killed %s\n", count(len(result.Killed), "process", "processes"))
	case failed == nil && len(report.Processes) > 0:
		fmt.Fprintln(o.env.Err, "killed nothing: they had ended by themselves, or somebody else was faster")
	case failed == nil:
		fmt.Fprintln(o.env.Err, o.nothing(report))
	}
	return failed
}

func isTerminalInput(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
