package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// A supervisor that is killed: the guard takes its lock, and ends what is left.
func TestSupervisorDies(t *testing.T) {
	h := &house{runs: t.TempDir(), run: newRun()}
	socket := filepath.Join(t.TempDir(), "s")
	leaveSocket(t, socket)
	supervisor := start(t, "supervisor", looks{role: "supervisor", env: []string{
		"GUARD_TEST_RUNS=" + h.runs, "GUARD_TEST_RUN=" + h.run, "GUARD_TEST_SOCKET=" + socket,
	}})
	pid, err := strconv.Atoi(line(t, supervisor.out))
	if err != nil {
		t.Fatal(err)
	}
	guard := hold(t, pid)
	marked := start(t, "marked", worker(h.run))
	decoys := startStrangers(t, h.run)

	if err := supervisor.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := guard.Wait(soon(t)); err != nil {
		t.Fatalf("the guard stays: %v", err)
	}
	marked.endedBy(t)
	mustLive(t, decoys)
	h.mustTell(t, foundEvents(sorted(marked), "the supervisor died")...)
	h.mustEnd(t, sorted(marked))
	if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// leaveSocket makes what a killed server leaves: a socket that nobody serves.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}

func hold(t *testing.T, pid int) *procscan.Handle {
	t.Helper()
	id, err := procscan.Lookup(pid)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := procscan.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = handle.Signal(syscall.SIGKILL)
		_ = handle.Close()
	})
	return handle
}

// mustEnd checks the record of a run whose supervisor died, and that its lock
// is free.
func (h *house) mustEnd(t *testing.T, killed []int) {
	t.Helper()
	found, err := rundir.Open(h.runs, h.run)
	if err != nil {
		t.Fatal(err)
	}
	if found.Alive || found.Record == nil || found.Record.State != rundir.StateEnded || found.Record.End == nil {
		t.Fatalf("the run is left as %+v", found)
	}
	end := *found.Record.End
	if end.At.IsZero() || end.Reason == "" {
		t.Errorf("it ended at %v, because %q", end.At, end.Reason)
	}
	end.At, end.Reason = time.Time{}, ""
	if diff := cmp.Diff(rundir.End{
		How: rundir.EndSupervisorDied, Found: killed, Killed: killed,
		Cleanups: []rundir.Cleanup{{By: "guard", Found: killed, Killed: killed}},
	}, end); diff != "" {
		t.Errorf("its end (-want +got):\n%s", diff)
	}
}

// The registry names processes that carry no marker (any more). It is believed
// of one that looks like a worker whose supervisor has died, and of nobody else:
// the file can be edited, and a PID be another's.
func TestTakeOverEndsTheRegistered(t *testing.T) {
	plain := looks{args: []string{"sleep"}}
	leader := looks{role: "overwrite", args: []string{"sleep"}, leads: true}
	elder := start(t, "older than the supervisor", leader)
	h := newHouse(t)
	supervisor := elder.id
	for supervisor.Start == elder.id.Start { // in ticks of 10 ms
		supervisor = start(t, "supervisor that has died", plain).id
	}
	h.supervise(t, supervisor)
	registered := start(t, "registered", leader)
	both := start(t, "registered and marked", worker(h.run))
	spared := []*fixture{
		elder, start(t, "no session leader", plain), start(t, "reused PID", leader), start(t, "the guard of another run", leader),
		start(t, "whole environment", looks{args: []string{"sleep"}, leads: true}),
	}
	before := spared[2].id
	before.Start--
	leaveRun(t, h.runs, spared[3].id)
	h.register(t, registered.id, both.id, elder.id, spared[1].id, before, spared[3].id, spared[4].id, procscan.ID{})
	h.watch(t)
	if err := h.dir.Close(); err != nil {
		t.Fatal(err)
	}
	h.die(t)
	h.awaitGuard(t)
	mustLive(t, spared)
	registered.endedBy(t)
	both.endedBy(t)
	h.mustEnd(t, sorted(registered, both))
	if _, err := os.Stat(rundir.RegistryPath(h.dir.Path())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the registry still names what is gone: %v", err)
	}
}

// leaveRun leaves the record of another run, whose guard is this process.
func leaveRun(t *testing.T, runs string, guard procscan.ID) {
	t.Helper()
	dir, err := rundir.Create(t.Context(), runs, newRun())
	if err != nil {
		t.Fatal(err)
	}
	record := recordFor(procscan.ID{}, "")
	record.Guard = &rundir.Process{PID: guard.PID, Start: guard.Start, Boot: guard.Boot}
	if err := errors.Join(dir.WriteRecord(record), dir.Close()); err != nil {
		t.Fatal(err)
	}
}

// Descendants that have cleaned their environment go with the worker that they
// are below, or in whose group they are; those of others stay.
func TestTheCleanGoWithTheirOwn(t *testing.T) {
	for reason, end := range map[string]func(*testing.T, *house){
		"the supervisor died": func(t *testing.T, h *house) {
			if err := h.dir.Close(); err != nil {
				t.Fatal(err)
			}
			h.die(t)
		},
		"this indicates a bug in the normal shutdown": func(t *testing.T, h *house) {
			if v, err := h.guard.Clean(); err != nil || len(v.Survivors) > 0 {
				t.Errorf("%+v, %v", v, err)
			}
			h.guard.Settled()
		},
	} {
		t.Run(reason, func(t *testing.T) {
			h := newHouse(t)
			family := worker(h.run)
			family.role, family.leads = "parent", true
			marked := start(t, "marked", family)
			beside, below := marked.child(t), marked.child(t)
			stranger := start(t, "stranger", looks{role: "parent", args: []string{"sleep"}, leads: true})
			others := []*fixture{stranger, stranger.child(t), stranger.child(t)}
			h.watch(t)
			end(t, h)
			h.awaitGuard(t)
			for _, f := range []*fixture{marked, beside, below} {
				if f.alive(t) {
					t.Errorf("%s lives", f.name)
				}
			}
			mustLive(t, others)
			h.mustTell(t, foundEvents(sorted(marked, beside, below), reason)...)
		})
	}
}

// The pipe of a dying process may end before its lock does.
func TestTakeOverWaitsForTheLock(t *testing.T) {
	h := newHouse(t)
	marked := start(t, "marked", worker(h.run))
	h.watch(t)
	h.die(t)
	time.Sleep(300 * time.Millisecond) // that is the case: a supervisor that takes its time to die
	if err := h.dir.Close(); err != nil {
		t.Fatal(err)
	}
	h.awaitGuard(t)
	marked.endedBy(t)
}

// Half a word is none.
func TestHalfAWordIsADeath(t *testing.T) {
	h := newHouse(t)
	marked := start(t, "marked", worker(h.run))
	g := h.watch(t)
	if err := h.dir.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(g.in, "clean"); err != nil {
		t.Fatal(err)
	}
	h.die(t)
	h.awaitGuard(t)
	marked.endedBy(t)
	h.mustEnd(t, sorted(marked))
}

// Somebody else has the run: its workers are his.
func TestAnotherHoldsTheLock(t *testing.T) {
	h := newHouse(t)
	marked := start(t, "marked", worker(h.run))
	h.register(t, marked.id)
	h.watch(t)
	h.die(t)
	h.awaitGuard(t)
	mustLive(t, []*fixture{marked})
	found, err := rundir.Open(h.runs, h.run)
	if err != nil || found.Record.State != rundir.StateRunning {
		t.Errorf("the record was changed: %+v, %v", found.Record, err)
	}
}

func TestTakeOverOfADamagedRun(t *testing.T) {
	h := newHouse(t)
	marked := start(t, "marked", worker(h.run))
	for _, name := range []string{"workers.json", "run.json"} {
		if err := os.WriteFile(filepath.Join(h.dir.Path(), name), []byte(`{"half`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.watch(t)
	if err := h.dir.Close(); err != nil {
		t.Fatal(err)
	}
	h.die(t)
	h.awaitGuard(t)
	marked.endedBy(t)
	h.mustEnd(t, sorted(marked))
}

// A run that was removed altogether is nobody's to clean up.
func TestTakeOverOfARemovedRun(t *testing.T) {
	h := newHouse(t)
	marked := start(t, "marked", worker(h.run))
	h.watch(t)
	if err := errors.Join(h.dir.Close(), os.RemoveAll(h.dir.Path())); err != nil {
		t.Fatal(err)
	}
	h.die(t)
	h.awaitGuard(t)
	mustLive(t, []*fixture{marked})
}
