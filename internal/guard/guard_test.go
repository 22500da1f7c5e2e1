package guard

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// told reads the events of the run, without their times.
func (h *house) told(t *testing.T) []telemetry.Record {
	t.Helper()
	text, err := os.ReadFile(rundir.EventsPath(filepath.Join(h.runs, h.run)))
	if err != nil {
		t.Fatal(err)
	}
	var all []telemetry.Record
	for line := range strings.Lines(string(text)) {
		var r telemetry.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.RunID != h.run || r.Time.IsZero() {
			t.Errorf("event %+v", r)
		}
		r.RunID, r.Time = "", time.Time{}
		all = append(all, r)
	}
	return all
}

func (h *house) mustTell(t *testing.T, want ...telemetry.Record) {
	t.Helper()
	if diff := cmp.Diff(want, h.told(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func foundEvents(pids []int, reason string) []telemetry.Record {
	count := len(pids)
	return []telemetry.Record{
		{Event: telemetry.OrphansFound, Source: "guard", Count: &count, PIDs: pids, Reason: reason},
		{Event: telemetry.EmergencyKill, Source: "guard", Count: &count, PIDs: pids},
	}
}

func sorted(all ...*fixture) []int {
	var pids []int
	for _, f := range all {
		pids = append(pids, f.id.PID)
	}
	slices.Sort(pids)
	return pids
}

func TestCleanAndNothingLeft(t *testing.T) {
	h := newHouse(t)
	decoys := startStrangers(t, h.run)
	g := h.watch(t)
	if alive, err := g.ID().Alive(); !alive || err != nil {
		t.Errorf("the guard is not there: %v", err)
	}
	got, err := g.Clean()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Verdict{Found: []int{}, Killed: []int{}, Survivors: []int{}}, got); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
	zero := 0
	h.mustTell(t, telemetry.Record{Event: telemetry.CleanupSuccess, Source: "guard", Count: &zero, Reason: "no orphaned processes"})
	if g.ID().IsZero() {
		t.Error("the guard has ended, and nobody has written down how the run has")
	}
	g.Settled()
	if !g.ID().IsZero() {
		t.Errorf("the guard is still PID %d", g.ID().PID)
	}
	mustLive(t, decoys)
}

// The supervisor believes that all is stopped, and is wrong.
func TestCleanFindsALeftover(t *testing.T) {
	h := newHouse(t)
	decoys := startStrangers(t, h.run)
	left := start(t, "leftover", worker(h.run))
	descendant := start(t, "descendant", looks{args: []string{"sleep"}, env: markersOf(h.run)})
	got, err := h.watch(t).Clean()
	if err != nil {
		t.Fatal(err)
	}
	both := sorted(left, descendant)
	if diff := cmp.Diff(Verdict{Found: both, Killed: both, Survivors: []int{}}, got); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
	if by := left.endedBy(t); by != syscall.SIGTERM {
		t.Errorf("it was ended by %v, want SIGTERM first", by)
	}
	mustLive(t, decoys)
}

func TestCleanKillsTheStubborn(t *testing.T) {
	h := newHouse(t)
	l := worker(h.run)
	l.role = "stubborn"
	left := start(t, "stubborn", l)
	got, err := h.watch(t).Clean()
	if err != nil || !slices.Equal(got.Killed, sorted(left)) {
		t.Errorf("got %+v, %v; want PID %d killed", got, err, left.id.PID)
	}
	if by := left.endedBy(t); by != syscall.SIGKILL {
		t.Errorf("it was ended by %v", by)
	}
	h.mustTell(t, foundEvents(sorted(left), "this indicates a bug in the normal shutdown")...)
}

func TestCleanWithoutItsGuard(t *testing.T) {
	h := newHouse(t)
	g := h.watch(t)
	procscan.End(soon(t), []procscan.Target{{ID: g.ID(), TrustIdentity: true}}, procscan.EndOptions{})
	h.awaitGuard(t)
	if v, err := g.Clean(); err == nil {
		t.Errorf("a guard that is gone says %+v", v)
	}
}

// What ends a terminal's or a service's processes does not end the guard.
func TestGuardIsDeafToSignals(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only /proc tells when the guard has begun to ignore signals")
	}
	h := newHouse(t)
	g := h.watch(t)
	pid := g.ID().PID
	for !ignores(t, pid, syscall.SIGPIPE) { // the last of them
		time.Sleep(time.Millisecond) // nothing tells when
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	if pgid, err := syscall.Getpgid(pid); err != nil || pgid != pid {
		t.Errorf("the guard is in group %d, %v; a terminal reaches it there", pgid, err)
	}
	if _, err := g.Clean(); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// ignores reads the mask of ignored signals (proc_pid_status(5)).
func ignores(t *testing.T, pid int, sig syscall.Signal) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\nSigIgn:")
	field, _, _ := strings.Cut(after, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(field), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask&(1<<(uint(sig)-1)) != 0
}

func TestVerdictCountsEachOnce(t *testing.T) {
	ended := func(pid int, signal string, alive bool) procscan.Ended {
		return procscan.Ended{ID: procscan.ID{PID: pid}, Signal: signal, Alive: alive}
	}
	failed := ended(3, "KILL", true)
	failed.Err = procscan.ErrSurvived
	got := verdictOf(
		[]procscan.Ended{ended(4, "", false), ended(1, "TERM", false), ended(2, "TERM", true), failed, ended(2, "KILL", false)},
		[]procscan.ID{{PID: 3}, {PID: 5}},
	)
	want := Verdict{
		Found: []int{1, 2, 3, 4, 5}, Killed: []int{1, 2}, Survivors: []int{3, 5},
		Errors: []string{"PID 3: " + procscan.ErrSurvived.Error()},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
