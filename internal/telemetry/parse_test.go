package telemetry

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func TestParseRecord(t *testing.T) {
	two := 2
	want := Record{
		Time: time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC), RunID: "r", Event: OrphansFound, Count: &two, PIDs: []int{3, 4}, Reason: "why",
	}
	got, err := ParseRecord(`{"time":"2026-03-04T05:06:07.008Z","run_id":"r","event":"orphaned_processes_found","count":2,"pids":[3,4],"reason":"why","of_a_later_version":[]}`)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestParseRecordRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":                      "cannot read an event",
		"{":                     "cannot read an event",
		"[]":                    "cannot read an event",
		"{}":                    "it has no name",
		`{"event":"run_ready"}`: "it has no time",
		`{"event":"run_ready","time":"yesterday"}`:                        "cannot read an event",
		`{"event":"worker_state","time":"2026-03-04T05:06:07Z"}`:          "names no worker",
		`{"time":"2026-03-04T05:06:07.008Z","run_id":"r","event":"worker`: "cannot read an event",
	} {
		if got, err := ParseRecord(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
}

// What is accepted can be written and read again, and is the same then.
func FuzzParseRecord(f *testing.F) {
	f.Add(`{"time":"2026-03-04T05:06:07.008Z","run_id":"r","event":"worker_state","pool":"p","worker":"p-0","from":"pending","to":"ready","incarnation":1,"pid":2,"port":3,"reason":"x"}`)
	f.Add(`{"time":"2026-03-04T05:06:07+01:00","event":"emergency_cleanup","count":0,"pids":[]}`)
	f.Add(`{"event":null}`)
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ParseRecord(line)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		same, err := ParseRecord(string(again))
		same.Time, r.Time = same.Time.UTC(), r.Time.UTC()
		if len(r.PIDs) == 0 {
			r.PIDs = nil
		}
		if diff := cmp.Diff(r, same); err != nil || diff != "" {
			t.Errorf("%v (-first +again):\n%s", err, diff)
		}
	})
}
