package procscan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A living supervisor that was started from within a worker carries the worker's
// marker, and so does what it starts.
func TestOfLiving(t *testing.T) {
	marked := func(run string) Marker { return Marker{RunID: run, Condemns: true} }
	proc := func(pid, ppid int, m Marker) Process {
		return Process{ID: idOf(pid), PPID: ppid, State: Sleeping, Marker: m}
	}
	s := Snapshot{Processes: []Process{
		proc(1, 0, Marker{}),
		proc(10, 1, marked("outer")),  // the orphan
		proc(11, 10, marked("outer")), // a supervisor that it has started
		proc(12, 11, marked("outer")), // what that has started
		proc(13, 11, marked("inner")), // its worker
		proc(14, 13, marked("outer")), // whatever that is, its parent is of another run
		proc(15, 10, Marker{}),        // a supervisor without a marker
		proc(16, 15, marked("outer")), // adopted by that one
		proc(17, 10, marked("outer")),
	}}
	living := map[ID]string{idOf(11): "the supervisor of run inner", idOf(15): "the supervisor of run b"}
	for pid, want := range map[int]string{
		10: "", 17: "", 14: "", 16: "", 1: "",
		11: "it is the supervisor of run inner", 12: "it descends from PID 11, the supervisor of run inner", 15: "it is the supervisor of run b",
	} {
		p, _ := s.Find(pid)
		if got := s.OfLiving(p, living); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("PID %d: %q, want %q", pid, got, want)
		}
		if got := s.OfLiving(p, nil); got != "" {
			t.Errorf("PID %d, nobody lives: %q", pid, got)
		}
	}
	reused := s.Processes[3]
	reused.Start = 5 // its parent is younger: another process has the PID
	if got := s.OfLiving(reused, living); got != "" {
		t.Errorf("below a reused PID: %q", got)
	}
}

func TestWithoutMarker(t *testing.T) {
	before := []string{"A=1", "SNAKEPIT_RUN_ID=x", "SNAKEPIT_WORKER_ID=y", "SNAKEPIT_RUN_KEY=k", "SNAKEPIT_RUN_IDS=z", "B"}
	if diff := cmp.Diff([]string{"A=1", "SNAKEPIT_RUN_IDS=z", "B"}, WithoutMarker(before)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if before[1] != "SNAKEPIT_RUN_ID=x" {
		t.Error("it has changed what it was given")
	}
}
