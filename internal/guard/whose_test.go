package guard

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// as is the looks of another user.
func (l looks) as(uid uint32) looks {
	l.user = &syscall.Credential{Uid: uid, Gid: uid}
	return l
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
}

// A worker that gives up its privileges keeps the run's key, and ends with it. Who
// has another key, or none, is spared.
func TestWorkerOfAnotherUser(t *testing.T) {
	needRoot(t)
	h := newHouse(t)
	dropped := start(t, "dropped its privileges", worker(h.run).as(65534))
	other, bare := worker(h.run), worker(h.run)
	other.env = append(slices.Clone(other.env[:2]), procscan.RunKeyEnv+"=another")
	bare.env = bare.env[:2]
	spared := []*fixture{start(t, "another key", other.as(65534)), start(t, "no key", bare.as(65534))}
	h.watch(t)
	if err := h.dir.Close(); err != nil {
		t.Fatal(err)
	}
	h.die(t)
	h.awaitGuard(t)
	dropped.endedBy(t)
	mustLive(t, spared)
	h.mustEnd(t, sorted(dropped))
}

// A living run that was started from within a worker: its supervisor carries the
// worker's marker if it was started in the foreground, and none otherwise.
func TestALivingRunWithinIsSpared(t *testing.T) {
	for name, l := range map[string]func(run string) looks{
		"in the foreground": func(run string) looks {
			return looks{args: []string{"snakepit", "start"}, env: markersOf(run), leads: true}
		},
		"detached": nil,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			family := worker(h.run)
			family.role, family.leads = "parent", true
			outer := start(t, "outer", family)
			beside, below := outer.child(t), outer.child(t)
			inner := below // without a marker, in a session of its own
			if l != nil {
				inner = start(t, "inner supervisor", l(h.run))
			}
			dir, err := rundir.Create(t.Context(), h.runs, newRun())
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			if err := dir.WriteRecord(recordFor(inner.id, "")); err != nil {
				t.Fatal(err)
			}
			h.watch(t)
			if err := h.dir.Close(); err != nil {
				t.Fatal(err)
			}
			h.die(t)
			h.awaitGuard(t)
			mustLive(t, []*fixture{inner})
			outer.endedBy(t)
			if beside.alive(t) {
				t.Error("the orphan's child lives")
			}
			if l == nil {
				procscan.End(soon(t), []procscan.Target{{ID: inner.id, TrustIdentity: true}}, procscan.EndOptions{})
			}
		})
	}
}

// A guard that somebody starts by hand knows no key, and so nobody's processes.
func TestGuardWithoutAKey(t *testing.T) {
	for name, said := range map[string]string{"clean": wordClean, "end of the pipe": ""} {
		t.Run(name, func(t *testing.T) {
			runs, run := t.TempDir(), newRun()
			if err := os.MkdirAll(filepath.Join(runs, run), 0o700); err != nil {
				t.Fatal(err)
			}
			l := worker(run)
			l.env = l.env[:2]
			marked := start(t, "marked, without a key", l)
			var out strings.Builder
			err := Main(strings.NewReader(said), &out, runs, run)
			if err == nil || !strings.Contains(err.Error(), "without its key") || out.Len() > 0 {
				t.Errorf("%v, %q", err, out.String())
			}
			mustLive(t, []*fixture{marked})
		})
	}
}

// Somebody who types "clean" to a guard is not the supervisor.
func TestGuardOfAnothersRun(t *testing.T) {
	h := newHouse(t)
	marked := start(t, "marked", worker(h.run))
	p := &process{runs: h.runs, runID: h.run, key: runKey, logger: slog.New(slog.DiscardHandler)}
	if err := errors.Join(p.meet(procscan.Lookup(1))); err != nil {
		t.Fatal(err)
	}
	if _, err := p.confirm(t.Context()); err == nil || !strings.Contains(err.Error(), "did not start this guard") {
		t.Errorf("%v", err)
	}
	mustLive(t, []*fixture{marked})
}

// Of a process of our own that cannot be read nobody knows whose it is: that is no
// "none".
func TestVerdictOnWhatCannotBeRead(t *testing.T) {
	needRoot(t)
	l := looks{role: "look", args: []string{"sleep"}, env: []string{"GUARD_TEST_RUN=" + newRun()}, leads: true}
	f := start(t, "closed", l.as(65534))
	var v Verdict
	if err := json.Unmarshal([]byte(line(t, f.out)), &v); err != nil {
		t.Fatal(err)
	}
	want := "could not look at PID " + strconv.Itoa(f.id.PID) + ": "
	if v.clean() || len(v.Found) > 0 || !slices.ContainsFunc(v.Errors, func(e string) bool { return strings.HasPrefix(e, want) }) {
		t.Errorf("%+v, want %q", v, want)
	}
}
