package cmd

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

const (
	eventReady   = `{"time":"2026-03-04T11:59:01.000Z","run_id":"over","event":"run_ready","pid":70}`
	eventPending = `{"time":"2026-03-04T11:59:00.000Z","run_id":"over","event":"worker_state","pool":"a","worker":"a-0","from":"pending","to":"pending","incarnation":1,"port":40000,"reason":"start"}`
	eventCrash   = `{"time":"2026-03-04T11:59:02.500Z","run_id":"over","event":"worker_state","pool":"a","worker":"a-0","from":"ready","to":"releasing","incarnation":1,"pid":71,"port":40000,"reason":"SIGSEGV"}`
	eventHostile = `{"time":"2026-03-04T11:59:03.000Z","run_id":"over","event":"worker_state","pool":"a","worker":"a-10","from":"releasing","to":"backoff","incarnation":1,"pid":12345,"port":40001,"reason":"line one\nline \u001b[2Jtwo"}`
	eventOrphans = `{"time":"2026-03-04T11:59:04.000Z","run_id":"over","event":"orphaned_processes_found","count":2,"pids":[80,81],"reason":"the supervisor died"}`
	eventBroken  = `{"time":"2026-03-04T11:59:05.000Z","run_id":"over","event":"worker_st`
)

// writeEvents appends lines to the events of a run.
func writeEvents(t *testing.T, run *rundir.Run, lines ...string) {
	t.Helper()
	file, err := os.OpenFile(run.EventsPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// sampleEvents are those of a run whose writer was killed in the middle of a line.
func sampleEvents(t *testing.T) {
	stateHome(t)
	writeEvents(t, endRun(t, "over", noon), eventPending, eventReady, "nonsense", eventCrash, eventHostile, eventOrphans, eventBroken)
}

func TestEvents(t *testing.T) {
	sampleEvents(t)
	code, out, errOut := snakepit(t, "events", "--run-id", "over")
	if code != 0 || !strings.HasPrefix(errOut, "skipped 2 broken lines of ") || strings.Count(errOut, "\n") != 1 {
		t.Errorf("code %d, stderr %q", code, errOut)
	}
	checkGolden(t, "events.txt", strings.TrimSuffix(out, "\n"))
}

func TestEventsChosen(t *testing.T) {
	sampleEvents(t)
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"", []string{eventPending, eventReady, eventCrash, eventHostile, eventOrphans}},
		{"-n 2", []string{eventHostile, eventOrphans}},
		{"-n 0", nil},
		{"--worker a-0", []string{eventPending, eventCrash}},
		{"--worker a-0 -n 1", []string{eventCrash}},
		{"-w a-0 -w a-10 -n all", []string{eventPending, eventCrash, eventHostile}},
		{"-f -n 1", []string{eventOrphans}}, // a run that has ended brings nothing more
	} {
		want := ""
		for _, line := range tt.want {
			want += line + "\n"
		}
		code, out, _ := snakepit(t, strings.Fields("events -o json --run-id over "+tt.args)...)
		if code != 0 || out != want {
			t.Errorf("%s: code %d, got\n%swant\n%s", tt.args, code, out, want)
		}
	}
}

func TestEventsBadInput(t *testing.T) {
	sampleEvents(t)
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"events --run-id nobody", exitNothing, `cannot find run "nobody"`},
		{"events --worker a-1", exitNothing, `cannot show the events of "a-1"`},
		{"events --worker a-1", exitNothing, "there are: a-0, a-10"},
		{"events -n some", exitUsage, `a number that is not negative, or "all"`},
		{"events -o xml", exitUsage, "it takes table|json"},
		{"events a-0", exitUsage, "a-0"},
	} {
		if code, out, errOut := snakepit(t, strings.Fields(tt.args)...); code != tt.code || out != "" || !strings.Contains(errOut, tt.want) {
			t.Errorf("%s: code %d, stdout %q, stderr %q", tt.args, code, out, errOut)
		}
	}
	// A run that never came so far has no events, which is no error.
	endRun(t, "early", noon.Add(time.Hour))
	if code, out, errOut := snakepit(t, "events"); code != 0 || out != "" || !strings.Contains(errOut, "these are the events of early: ") {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, errOut)
	}
}

func TestEventsFollow(t *testing.T) {
	stateHome(t)
	run := holdRun(t, rundir.Record{State: rundir.StateRunning}, "over")
	f := followCommand(t, newEvents)
	writeEvents(t, run, eventPending)
	f.expect(
		"TIME                     WORKER  EVENT      PID   PORT  REASON",
		"2026-03-04 11:59:00.000  a-0     ◌ pending    -  40000  start",
	)
	writeEvents(t, run, eventHostile) // wider than what was there
	f.expect("2026-03-04 11:59:03.000  a-10    ◐ backoff  12345  40001  line one line two")
	writeEvents(t, run, eventCrash) // the columns keep their width
	f.expect("2026-03-04 11:59:02.500  a-0     ◐ releasing     71  40000  SIGSEGV")
	if err := run.Close(); err != nil { // the run has ended
		t.Fatal(err)
	}
	f.expectEnd()
}

func TestEventsReaderLeft(t *testing.T) {
	sampleEvents(t)
	for _, args := range [][]string{{}, {"-o", "json"}} {
		c := newEvents(&Env{Out: brokenPipe{}, Err: &bytes.Buffer{}, Now: time.Now})
		c.SetArgs(args)
		if err := c.ExecuteContext(context.Background()); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}
