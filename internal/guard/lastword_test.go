package guard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// asked is a run whose guard has given its verdict, and whose supervisor has not
// written anything down yet. It has left its socket.
func asked(t *testing.T) (h *house, socket string) {
	t.Helper()
	h = newHouse(t)
	socket = filepath.Join(t.TempDir(), "s")
	leaveSocket(t, socket)
	self, err := procscan.Lookup(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	self.Start-- // as in newHouse
	if err := h.dir.WriteRecord(recordFor(self, socket)); err != nil {
		t.Fatal(err)
	}
	return h, socket
}

// dieAfterTheVerdict is a supervisor that is killed on its way out.
func (h *house) dieAfterTheVerdict(t *testing.T) {
	t.Helper()
	if _, err := h.watch(t).Clean(); err != nil {
		t.Fatal(err)
	}
	if err := h.dir.Close(); err != nil {
		t.Fatal(err)
	}
	h.die(t)
	h.awaitGuard(t)
}

const diedOnItsWayOut = "the supervisor died after it had stopped everything, before it had written that down"

// What a supervisor has left to do when it is killed after its guard's verdict, the
// guard does: the run has an end, and no socket. The verdict is told once.
func TestSupervisorDiesAfterTheVerdict(t *testing.T) {
	h, socket := asked(t)
	h.dieAfterTheVerdict(t)
	zero := 0
	h.mustTell(t, telemetry.Record{Event: telemetry.CleanupSuccess, Source: "guard", Count: &zero, Reason: "no orphaned processes"})
	if diff := cmp.Diff(&rundir.End{How: rundir.EndSupervisorDied, Reason: diedOnItsWayOut, Confirmed: true}, h.end(t)); diff != "" {
		t.Errorf("its end (-want +got):\n%s", diff)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// Whom the verdict named, the end names.
func TestSupervisorDiesAfterAFinding(t *testing.T) {
	h, _ := asked(t)
	left := start(t, "leftover", worker(h.run))
	h.dieAfterTheVerdict(t)
	left.endedBy(t)
	pids := sorted(left)
	h.mustTell(t, foundEvents(pids, "this indicates a bug in the normal shutdown")...)
	want := &rundir.End{
		How: rundir.EndSupervisorDied, Reason: diedOnItsWayOut, Found: pids, Killed: pids,
		Cleanups: []rundir.Cleanup{{By: "guard", Found: pids, Killed: pids}},
	}
	if diff := cmp.Diff(want, h.end(t)); diff != "" {
		t.Errorf("its end (-want +got):\n%s", diff)
	}
}

// An end that the supervisor has written stays as it is; its socket goes.
func TestSupervisorDiesAfterItsRecord(t *testing.T) {
	h, socket := asked(t)
	record := recordFor(procscan.ID{PID: os.Getpid()}, socket)
	record.State, record.End = rundir.StateEnded, &rundir.End{How: rundir.EndStopped, Confirmed: true}
	if _, err := h.watch(t).Clean(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.dir.WriteRecord(record), h.dir.Close()); err != nil {
		t.Fatal(err)
	}
	h.die(t)
	h.awaitGuard(t)
	if diff := cmp.Diff(record.End, h.end(t)); diff != "" {
		t.Errorf("its end (-want +got):\n%s", diff)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// A run of the same id that has come and gone meanwhile is not this guard's.
func TestAnotherRunHasComeAndGone(t *testing.T) {
	h, _ := asked(t)
	if _, err := h.watch(t).Clean(); err != nil {
		t.Fatal(err)
	}
	record := recordFor(procscan.ID{}, "")
	record.Key = "another"
	if err := errors.Join(h.dir.WriteRecord(record), h.dir.Close()); err != nil {
		t.Fatal(err)
	}
	h.die(t)
	h.awaitGuard(t)
	if end := h.end(t); end != nil {
		t.Errorf("it was given an end: %+v", end)
	}
}

// end is how the record says that the run ended, without the time.
func (h *house) end(t *testing.T) *rundir.End {
	t.Helper()
	found, err := rundir.Open(h.runs, h.run)
	if err != nil || found.Record == nil {
		t.Fatalf("%+v, %v", found, err)
	}
	if found.Record.End != nil {
		found.Record.End.At = time.Time{}
	}
	return found.Record.End
}
