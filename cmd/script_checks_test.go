package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// The document of "list -o json" as it was promised to those who script against
// it: written down a second time, so that it cannot change unseen.
type promisedList struct {
	SchemaVersion int           `json:"schema_version"`
	Runs          []promisedRun `json:"runs"`
}

type promisedRun struct {
	RunID      string `json:"run_id"`
	State      string `json:"state"`
	Supervisor struct {
		PID       int    `json:"pid"`
		StartedAt string `json:"started_at"`
	} `json:"supervisor"`
	Guard *struct {
		PID int `json:"pid"`
	} `json:"guard"`
	Pools []struct {
		Name    string           `json:"name"`
		Desired int              `json:"desired"`
		Ready   int              `json:"ready"`
		Workers []promisedWorker `json:"workers"`
	} `json:"pools"`
}

type promisedWorker struct {
	ID            string  `json:"id"`
	State         string  `json:"state"`
	PID           int     `json:"pid"`
	Port          int     `json:"port"`
	Incarnation   int     `json:"incarnation"`
	Restarts      int     `json:"restarts"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	RSSBytes      int64   `json:"rss_bytes"`
	CPUPercent    float64 `json:"cpu_percent"`
	LastExit      string  `json:"last_exit"`
	StartMethod   string  `json:"start_method"`
	Message       string  `json:"message"`
	Health        *struct {
		At     string  `json:"at"`
		TookMS float64 `json:"took_ms"`
	} `json:"health"`
	Calls struct {
		Running int `json:"running"`
		Ended   int `json:"ended"`
		Failed  int `json:"failed"`
	} `json:"calls"`
}

// parsePromised refuses a field more and a field less.
func parsePromised(text string) (promisedList, error) {
	var list promisedList
	if err := promised(text, &list); err != nil {
		return list, err
	}
	if list.SchemaVersion != 1 {
		return list, fmt.Errorf("schema_version %d", list.SchemaVersion)
	}
	return list, nil
}

// listing FILE RUN N: a list of one run with N workers in one pool, all of them
// ready, each with a port of its own and the run's marker.
func checkListing(ts *testscript.TestScript, args []string) error {
	list, err := parsePromised(ts.ReadFile(args[0]))
	if err != nil {
		return err
	}
	if len(list.Runs) != 1 || len(list.Runs[0].Pools) != 1 {
		return fmt.Errorf("not one run with one pool: %+v", list.Runs)
	}
	run, want := list.Runs[0], number10(ts, args[2])
	pool := run.Pools[0]
	if run.RunID != args[1] || run.State != "running" || pool.Desired != want || pool.Ready != want || len(pool.Workers) != want {
		return fmt.Errorf("run %s is %s, pool %s has %d/%d ready, %d workers", run.RunID, run.State, pool.Name, pool.Ready, pool.Desired, len(pool.Workers))
	}
	if _, err := time.Parse(time.RFC3339, run.Supervisor.StartedAt); err != nil {
		return err
	}
	if run.Guard == nil {
		return fmt.Errorf("run %s has no guard", run.RunID)
	}
	for _, pid := range []int{run.Supervisor.PID, run.Guard.PID} {
		if _, err := procscan.Lookup(pid); err != nil {
			return err
		}
	}
	return checkReadyWorkers(run.RunID, pool.Workers)
}

func checkReadyWorkers(runID string, workers []promisedWorker) error {
	all, err := procscan.Scan(context.Background(), procscan.Options{})
	if err != nil {
		return err
	}
	ports := map[int]string{}
	for _, w := range workers {
		if w.State != "ready" || w.Incarnation != 1 || w.RSSBytes < 1e6 || w.UptimeSeconds <= 0 {
			return fmt.Errorf("not a ready worker: %+v", w)
		}
		if other := ports[w.Port]; other != "" {
			return fmt.Errorf("%s and %s have both port %d", other, w.ID, w.Port)
		}
		ports[w.Port] = w.ID
		p, found := all.Find(w.PID)
		if at := slices.Index(p.Args, procscan.RunIDFlag); !found || at < 0 || p.Args[at+1] != runID || !p.Condemns {
			return fmt.Errorf("no marker of run %s in the command line of %s, PID %d: %q", runID, w.ID, w.PID, p.Args)
		}
	}
	return nil
}

// seen is what list tells of a worker, or of the supervisor or the guard, as
// text by field.
func seen(ts *testscript.TestScript, runID, who string) (map[string]string, error) {
	if err := ts.Exec("snakepit", "list", "-o", "json", "--run-id", runID); err != nil {
		return nil, err
	}
	list, err := parsePromised(ts.ReadFile("stdout"))
	if err != nil {
		return nil, err
	}
	run := list.Runs[0]
	switch who {
	case "run":
		return map[string]string{"state": run.State, "pools": strconv.Itoa(len(run.Pools))}, nil
	case "supervisor":
		return map[string]string{"pid": strconv.Itoa(run.Supervisor.PID)}, nil
	case "guard":
		if run.Guard == nil {
			return map[string]string{"pid": "none"}, nil
		}
		return map[string]string{"pid": strconv.Itoa(run.Guard.PID)}, nil
	}
	for _, pool := range run.Pools {
		for _, w := range pool.Workers {
			if w.ID == who {
				return map[string]string{
					"state": w.State, "pid": strconv.Itoa(w.PID), "port": strconv.Itoa(w.Port), "last_exit": w.LastExit, "start_method": w.StartMethod,
					"restarts": strconv.Itoa(w.Restarts), "incarnation": strconv.Itoa(w.Incarnation),
				}, nil
			}
		}
	}
	return nil, fmt.Errorf("run %s has no worker %s", runID, who)
}

// worker RUN WORKER FIELD=VALUE... or FIELD!=VALUE, as list shows it. "run",
// "supervisor" and "guard" can be asked for too.
func checkWorker(ts *testscript.TestScript, args []string) error {
	fields, err := seen(ts, args[0], args[1])
	if err != nil {
		return err
	}
	for _, want := range args[2:] {
		name, value, _ := strings.Cut(want, "=")
		name, not := strings.CutSuffix(name, "!")
		got, known := fields[name]
		if !known || (got == value) == not {
			return fmt.Errorf("%s: %s is %q, want %s", args[1], name, got, want)
		}
	}
	return nil
}

// let NAME RUN WORKER FIELD sets a variable to what list shows; let NAME =FIELD
// to a field of the JSON that was printed last.
func cmdLet(ts *testscript.TestScript, _ bool, args []string) {
	if field, ok := strings.CutPrefix(args[1], "="); ok {
		var result map[string]any
		ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &result))
		ts.Setenv(args[0], fmt.Sprint(result[field]))
		return
	}
	fields, err := seen(ts, args[1], args[2])
	ts.Check(err)
	ts.Setenv(args[0], fields[args[3]])
}

// event RUN NAME COUNT: so many events of that name, or more.
func checkEvent(ts *testscript.TestScript, args []string) error {
	run, err := rundir.Open(runsIn(ts.Getenv("XDG_STATE_HOME")), args[0])
	if err != nil {
		return err
	}
	events, err := readEvents(run)
	if err != nil {
		return err
	}
	count := 0
	for _, e := range events {
		if e.Event == args[1] {
			count++
		}
	}
	if count < number10(ts, args[2]) {
		return fmt.Errorf("%d events %s, want %s", count, args[1], args[2])
	}
	return nil
}

// events RUN WORKERS STATE...: what every worker of the run went through.
func checkEvents(ts *testscript.TestScript, args []string) error {
	run, err := rundir.Open(runsIn(ts.Getenv("XDG_STATE_HOME")), args[0])
	if err != nil {
		return err
	}
	events, err := readEvents(run)
	if err != nil {
		return err
	}
	states := map[string][]string{}
	for _, e := range events {
		if e.RunID != args[0] || e.Time.IsZero() {
			return fmt.Errorf("%+v", e)
		}
		if e.Event == telemetry.WorkerState {
			states[e.Worker] = append(states[e.Worker], e.To)
			hasProcess := e.To != "pending" && e.To != "backoff"
			if e.Incarnation == 0 || e.Reason == "" || e.Port == 0 || hasProcess && e.PID == 0 {
				return fmt.Errorf("an event lacks incarnation, reason, port or PID: %+v", e)
			}
		}
	}
	if len(states) != number10(ts, args[1]) {
		return fmt.Errorf("events of %d workers, want %s", len(states), args[1])
	}
	for worker, got := range states {
		if diff := cmp.Diff(args[2:], got); diff != "" {
			return fmt.Errorf("%s in %s (-want +got):\n%s", worker, filepath.Base(run.Dir), diff)
		}
	}
	return nil
}
