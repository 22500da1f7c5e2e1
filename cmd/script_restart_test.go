package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// The document of "restart -o json" as it was promised, written down a second
// time.
type promisedRestart struct {
	SchemaVersion int `json:"schema_version"`
	Restarted     []struct {
		Worker    string  `json:"worker"`
		OldPID    int     `json:"old_pid"`
		NewPID    int     `json:"new_pid"`
		Port      int     `json:"port"`
		StopMS    float64 `json:"stop_ms"`
		ReleaseMS float64 `json:"release_ms"`
		StartMS   float64 `json:"start_ms"`
		TotalMS   float64 `json:"total_ms"`
	} `json:"restarted"`
	Failed []struct {
		Worker string `json:"worker"`
		Error  string `json:"error"`
	} `json:"failed"`
}

// restarted FILE RUN WORKER=OLDPID...: the document names exactly these, none of
// them failed. The old process is gone, and list shows the new one on the port.
func checkRestarted(ts *testscript.TestScript, args []string) error {
	var document promisedRestart
	if err := promised(ts.ReadFile(args[0]), &document); err != nil {
		return err
	}
	if document.SchemaVersion != 1 || len(document.Failed) > 0 || len(document.Restarted) != len(args[2:]) {
		return fmt.Errorf("%+v", document)
	}
	old := map[string]string{}
	for _, arg := range args[2:] {
		worker, pid, _ := strings.Cut(arg, "=")
		old[worker] = pid
	}
	for _, r := range document.Restarted {
		if old[r.Worker] != strconv.Itoa(r.OldPID) || r.NewPID == 0 || r.NewPID == r.OldPID {
			return fmt.Errorf("%s had PID %s: %+v", r.Worker, old[r.Worker], r)
		}
		sum := r.StopMS + r.ReleaseMS + r.StartMS
		if r.StartMS <= 0 || r.StopMS < 0 || r.ReleaseMS < 0 || sum > r.TotalMS+1 {
			return fmt.Errorf("its phases make no sense: %+v", r)
		}
		if _, err := procscan.Lookup(r.OldPID); err == nil && r.OldPID != 0 {
			return fmt.Errorf("%s: the old process lives: %+v", r.Worker, r)
		}
		if err := checkWorker(ts, []string{args[1], r.Worker, "state=ready", fmt.Sprint("pid=", r.NewPID), fmt.Sprint("port=", r.Port)}); err != nil {
			return err
		}
		delete(old, r.Worker)
	}
	return nil
}

// restart-failed FILE WORKER...: nothing was restarted, and exactly these failed.
func checkRestartFailed(ts *testscript.TestScript, args []string) error {
	var document promisedRestart
	if err := promised(ts.ReadFile(args[0]), &document); err != nil {
		return err
	}
	var failed []string
	for _, f := range document.Failed {
		if f.Error == "" {
			return fmt.Errorf("%s failed without a reason", f.Worker)
		}
		failed = append(failed, f.Worker)
	}
	if got, want := strings.Join(failed, " "), strings.Join(args[1:], " "); len(document.Restarted) > 0 || got != want {
		return fmt.Errorf("%d restarted, and %s failed, not %s", len(document.Restarted), got, want)
	}
	return nil
}
