package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// The documents of "orphans -o json" and "kill-orphans -o json" as they were
// promised, written down a second time.
type promisedOrphans struct {
	SchemaVersion int `json:"schema_version"`
	Scanned       int `json:"scanned"`
	Unreadable    int `json:"unreadable"`
	Processes     []struct {
		PID       int      `json:"pid"`
		PPID      int      `json:"ppid"`
		RunID     string   `json:"run_id"`
		Verdict   string   `json:"verdict"`
		StartedAt string   `json:"started_at"`
		Command   string   `json:"command"`
		Ports     []int    `json:"ports"`
		Evidence  []string `json:"evidence"`
	} `json:"processes"`
}

type promisedKills struct {
	SchemaVersion int `json:"schema_version"`
	Killed        []struct {
		PID    int     `json:"pid"`
		RunID  string  `json:"run_id"`
		Signal string  `json:"signal"`
		TookMS float64 `json:"took_ms"`
	} `json:"killed"`
	Failed []struct {
		PID   int    `json:"pid"`
		Error string `json:"error"`
	} `json:"failed"`
	Survivors []int `json:"survivors"`
}

// promised reads a document, and refuses a field more and a field less.
func promised(text string, document any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(document); err != nil {
		return fmt.Errorf("it has not its schema: %w", err)
	}
	again, err := json.Marshal(document)
	if err != nil {
		return err
	}
	var printed, wanted any
	if err := errors.Join(json.Unmarshal([]byte(text), &printed), json.Unmarshal(again, &wanted)); err != nil {
		return err
	}
	if diff := cmp.Diff(wanted, printed); diff != "" {
		return fmt.Errorf("it has not its schema (-promised +printed):\n%s", diff)
	}
	return nil
}

// samePIDs compares without order.
func samePIDs(want []string, got []int) error {
	var words []string
	for _, pid := range got {
		words = append(words, strconv.Itoa(pid))
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(words))); diff != "" {
		return fmt.Errorf("other processes (-want +got):\n%s", diff)
	}
	return nil
}

// found FILE RUN [VERDICT PID...]: the document names exactly these, and of the
// bystanders, which are none of the run's, at most that they are foreign.
func checkFound(ts *testscript.TestScript, args []string) error {
	var document promisedOrphans
	if err := promised(ts.ReadFile(args[0]), &document); err != nil {
		return err
	}
	if document.SchemaVersion != 1 || document.Scanned < 2 {
		return fmt.Errorf("%+v", document)
	}
	var pids []int
	for _, p := range document.Processes {
		if bystandersOf(ts).has(p.PID) && p.Verdict == string(procscan.Foreign) {
			continue
		}
		started, err := time.Parse(time.RFC3339, p.StartedAt)
		if err != nil || time.Since(started) > time.Hour || p.RunID != args[1] || p.PPID == 0 || p.Command == "" || len(p.Evidence) < 2 || p.Verdict != args[2] {
			return fmt.Errorf("%+v, %w", p, err)
		}
		pids = append(pids, p.PID)
	}
	return samePIDs(args[min(3, len(args)):], pids)
}

// killed FILE RUN PID...: the document names exactly these, and no survivor.
func checkKilled(ts *testscript.TestScript, args []string) error {
	var document promisedKills
	if err := promised(ts.ReadFile(args[0]), &document); err != nil {
		return err
	}
	if document.SchemaVersion != 1 || len(document.Failed)+len(document.Survivors) > 0 {
		return fmt.Errorf("%+v", document)
	}
	var pids []int
	for _, p := range document.Killed {
		if p.RunID != args[1] || p.Signal != "TERM" && p.Signal != "KILL" || p.TookMS <= 0 {
			return fmt.Errorf("%+v", p)
		}
		pids = append(pids, p.PID)
	}
	return samePIDs(args[2:], pids)
}
