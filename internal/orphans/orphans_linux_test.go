package orphans

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

var patient = KillOptions{Grace: 20 * time.Second, KillWait: 20 * time.Second}

func (o KillOptions) in(root string) KillOptions { o.Runs = root; return o }

func find(t *testing.T, root, run string, all bool) Report {
	t.Helper()
	r, err := Find(t.Context(), Options{Runs: root, RunID: run, All: all})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verdicts of the run's processes by PID.
func verdicts(r Report) map[int]procscan.Verdict {
	found := map[int]procscan.Verdict{}
	for _, f := range r.Processes {
		found[f.Process.PID] = f.Verdict
	}
	return found
}

func says(f Finding, text string) bool {
	return slices.ContainsFunc(f.Evidence, func(e string) bool { return strings.Contains(e, text) })
}

func mustKill(t *testing.T, root, run string, o KillOptions) Result {
	t.Helper()
	result := Kill(t.Context(), find(t, root, run, false), o.in(root))
	if len(result.Failed) > 0 || len(result.Survivors) > 0 || len(result.Errors) > 0 {
		t.Errorf("failed %v, survivors %v, errors %v", result.Failed, result.Survivors, result.Errors)
	}
	if left := find(t, root, run, false); len(left.Processes) > 0 {
		t.Errorf("left: %v", left.Processes)
	}
	return result
}

// TestWithoutState: a host of another kind, which leaves no files, is judged by
// the parents of its workers.
func TestWithoutState(t *testing.T) {
	run, root := newRun(), filepath.Join(t.TempDir(), "none")
	f := raise(t, elixir("sleep", run))
	if got := find(t, root, run, false).Processes; len(got) > 0 {
		t.Errorf("the host lives: %v", got)
	}
	all := find(t, root, run, true).Processes
	if len(all) != 1 || all[0].Verdict != procscan.Foreign || !says(all[0], "(beam.smp) lives") {
		t.Fatalf("%+v", all)
	}
	if result := Kill(t.Context(), Report{Processes: all}, patient.in(root)); len(result.Killed)+len(result.Failed) > 0 {
		t.Errorf("%+v", result)
	}
	mustAlive(t, f.child, true)

	kill(t, f.host)
	got := find(t, root, run, false).Processes
	if len(got) != 1 || got[0].Process.ID != f.child || got[0].Verdict != procscan.Orphan || !says(got[0], "(systemd), which takes") {
		t.Fatalf("%+v", got)
	}
	if got[0].RSSBytes < 1e5 || time.Since(got[0].StartedAt) > time.Hour {
		t.Errorf("%d bytes, started %v", got[0].RSSBytes, got[0].StartedAt)
	}
	result := mustKill(t, root, run, patient)
	if len(result.Killed) != 1 || result.Killed[0].PID != f.child.PID || result.Killed[0].Signal != "TERM" || result.Killed[0].RunID != run {
		t.Errorf("%+v", result)
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("it made a state directory")
	}
}

// TestMisbehaviour: whatever they do, nothing is left, and the count is true.
func TestMisbehaviour(t *testing.T) {
	for name, tt := range map[string]struct {
		mode   string
		before func(procscan.ID)
		grace  time.Duration
		want   []string
	}{
		"obeys":                         {"sleep", nil, 20 * time.Second, []string{"TERM"}},
		"ignores TERM":                  {"ignore-term", nil, 50 * time.Millisecond, []string{"KILL"}},
		"leader exits, child stays":     {"leader-dies", nil, time.Second, []string{"KILL", "TERM"}},
		"grandchild in its own session": {"grandchild", nil, 50 * time.Millisecond, []string{"KILL", "KILL"}},
		"ten that ignore TERM":          {"ten", nil, 50 * time.Millisecond, slices.Repeat([]string{"KILL"}, 11)},
		"stopped":                       {"sleep", func(id procscan.ID) { _ = syscall.Kill(id.PID, syscall.SIGSTOP) }, 20 * time.Second, []string{"TERM"}},
		"nothing but KILL":              {"sleep", nil, 0, []string{"KILL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, root := newRun(), t.TempDir()
			f := orphan(t, worker(tt.mode, run))
			deadRun(t, root, run, f.host, f.child)
			if tt.before != nil {
				tt.before(f.child)
			}
			if got := find(t, root, run, false).Processes; len(got) != len(tt.want) {
				t.Errorf("found %v, want %d", got, len(tt.want))
			}
			result := mustKill(t, root, run, KillOptions{Grace: tt.grace, KillWait: 20 * time.Second})
			var signals []string
			for _, k := range result.Killed {
				signals = append(signals, k.Signal)
			}
			slices.Sort(signals)
			if diff := cmp.Diff(tt.want, signals); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			mustAlive(t, f.child, false)
		})
	}
}

// TestDecoys: none of these may be ended, whatever run is cleaned up.
func TestDecoys(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := orphan(t, worker("sleep", run))
	long := newRun()
	text := "fix " + procscan.RunIDFlag + " " + run + " in grpc_server.py"
	decoys := map[string]family{
		"an editor":            orphan(t, process{mode: "sleep", args: []string{"vim", text}}),
		"grep":                 orphan(t, process{mode: "sleep", args: []string{"grep", "--", procscan.RunIDFlag, run, "grpc_server.py"}}),
		"a shell":              orphan(t, process{mode: "sleep", args: []string{"sh", "-c", "python3 grpc_server.py " + procscan.RunIDFlag + " " + run}}),
		"a longer run id":      orphan(t, worker("sleep", run+"2")),
		"a shorter run id":     orphan(t, worker("sleep", run[:len(run)-1])),
		"a living neighbour":   raise(t, worker("sleep", long)),
		"a run of this name":   raise(t, worker("sleep", run)),
		"exported in a shell":  orphan(t, process{mode: "sleep", args: []string{"sh"}, env: []string{procscan.RunIDEnv + "=" + run}}),
		"took a worker's PID":  orphan(t, process{mode: "sleep", args: []string{"redis-server"}}),
		"an uninvolved worker": raise(t, elixir("sleep", newRun())),
	}
	if os.Getuid() == 0 {
		theirs := worker("sleep", run)
		theirs.uid = 65534
		decoys["another user's"] = orphan(t, theirs)
	}
	reused := decoys["took a worker's PID"].child
	reused.Start--
	deadRun(t, root, run, f.host, f.child, reused)
	makeRun(t, root, long, decoys["a living neighbour"].host, decoys["a living neighbour"].child)

	got := verdicts(find(t, root, run, false))
	if diff := cmp.Diff(map[int]procscan.Verdict{f.child.PID: procscan.Orphan}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	result := mustKill(t, root, run, KillOptions{Grace: 20 * time.Second, KillWait: 20 * time.Second, Strays: true})
	if len(result.Killed) != 1 {
		t.Errorf("%+v", result)
	}
	everything := Kill(t.Context(), find(t, root, long, true), patient.in(root))
	if len(everything.Killed)+len(everything.Failed) > 0 {
		t.Errorf("of the living neighbour: %+v", everything)
	}
	mustAlive(t, f.child, false)
	for name, decoy := range decoys {
		if alive, err := decoy.child.Alive(); err != nil || !alive {
			t.Errorf("%s was harmed", name)
		}
	}
}

// TestRegistered: who hides its marker is known by the registry.
func TestRegistered(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := orphan(t, process{mode: "overwrite", args: []string{"python3"}})
	deadRun(t, root, run, f.host, f.child)
	got := find(t, root, "", false).Processes
	at := slices.IndexFunc(got, func(x Finding) bool { return x.Process.ID == f.child })
	if at < 0 || got[at].RunID != run || !says(got[at], "in the registry of run "+run) {
		t.Fatalf("%+v", got)
	}
	mustKill(t, root, run, patient)
	mustAlive(t, f.child, false)
}

// TestLeftovers: what the dead run has left goes, and what was done is written
// down.
func TestLeftovers(t *testing.T) {
	for name, registry := range map[string]string{"whole": "", "corrupt": "{"} {
		t.Run(name, func(t *testing.T) {
			run, root := newRun(), t.TempDir()
			f := orphan(t, worker("sleep", run))
			deadRun(t, root, run, f.host, f.child)
			path := rundir.RegistryPath(filepath.Join(root, run))
			if registry != "" {
				if err := os.WriteFile(path, []byte(registry), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			mustKill(t, root, run, patient)
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the registry: %v", err)
			}
			if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) != len(registry) {
				t.Errorf("set aside: %q", aside)
			}
			ended, err := rundir.Open(root, run)
			if err != nil || !ended.Settled() || ended.Alive {
				t.Fatalf("%+v, %v", ended, err)
			}
			want := &rundir.End{
				At: ended.Record.End.At, How: rundir.EndSupervisorDied, Reason: ended.Record.End.Reason,
				Found: []int{f.child.PID}, Killed: []int{f.child.PID},
				Cleanups: []rundir.Cleanup{{By: "kill-orphans", Found: []int{f.child.PID}, Killed: []int{f.child.PID}}},
			}
			if diff := cmp.Diff(want, ended.Record.End); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			events, err := os.ReadFile(rundir.EventsPath(ended.Dir))
			if err != nil || !strings.Contains(string(events), `"orphaned_processes_found"`) || !strings.Contains(string(events), `"emergency_cleanup"`) {
				t.Errorf("events: %s %v", events, err)
			}
		})
	}
}

// TestRefusesTheLiving: a run that was started again since it was looked at.
func TestRefusesTheLiving(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := orphan(t, worker("sleep", run))
	deadRun(t, root, run, f.host, f.child)
	report := find(t, root, run, false)
	if len(report.Processes) != 1 {
		t.Fatalf("%+v", report)
	}
	held := makeRun(t, root, run, raise(t, elixir("sleep", newRun())).host)
	result := Kill(t.Context(), report, patient.in(root))
	if len(result.Killed) > 0 || len(result.Failed) != 1 || !errors.Is(result.Failed[0].Err, ErrAlive) || !slices.Equal(result.Survivors, []int{f.child.PID}) {
		t.Errorf("%+v", result)
	}
	mustAlive(t, f.child, true)

	// It is a stray of the living run, and goes only when that is asked for.
	if got := verdicts(find(t, root, run, false)); got[f.child.PID] != procscan.Stray {
		t.Errorf("%v", got)
	}
	if result := Kill(t.Context(), find(t, root, run, false), patient.in(root)); len(result.Killed) > 0 {
		t.Errorf("%+v", result)
	}
	strays := patient
	strays.Strays = true
	if result := mustKill(t, root, run, strays); len(result.Killed) != 1 {
		t.Errorf("%+v", result)
	}
	if now, err := rundir.Open(root, run); err != nil || !now.Alive || now.Record.State != rundir.StateRunning {
		t.Errorf("the living run: %+v, %v", now, err)
	}
	held.Close()
}

// TestTwoAtOnce: the second waits for the first, and each process is counted once.
func TestTwoAtOnce(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := orphan(t, worker("ten", run))
	deadRun(t, root, run, f.host, f.child)
	report := find(t, root, run, false)
	results := make([]Result, 2)
	var wait sync.WaitGroup
	for i := range results {
		wait.Go(func() {
			results[i] = Kill(context.Background(), report, KillOptions{Runs: root, Grace: time.Second, KillWait: 20 * time.Second})
		})
	}
	wait.Wait()
	if n := len(results[0].Killed) + len(results[1].Killed); n != 11 {
		t.Errorf("killed %d of 11", n)
	}
	for _, r := range results {
		if len(r.Failed) > 0 || len(r.Survivors) > 0 || len(r.Errors) > 0 {
			t.Errorf("%+v", r)
		}
	}
	events := eventsOf(t, root, run)
	if strings.Count(events, "orphaned_processes_found") != 1 || strings.Contains(events, "cleanup_success") {
		t.Errorf("the second one had nothing to say, and the events are:\n%s", events)
	}
}

func eventsOf(t *testing.T, root, run string) string {
	t.Helper()
	events, err := os.ReadFile(rundir.EventsPath(filepath.Join(root, run)))
	if err != nil {
		t.Fatal(err)
	}
	return string(events)
}

// TestZombie: a worker that nobody has waited for is shown for what it is, and
// never signalled.
func TestZombie(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := raise(t, worker("sleep", run)) // its host does not wait for it
	gone := f.reaper
	gone.Start-- // a supervisor that had this PID before
	deadRun(t, root, run, gone, f.child)
	h, err := procscan.Open(f.child)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_ = h.Signal(syscall.SIGKILL)
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := find(t, root, run, false).Processes; len(got) > 0 {
		t.Errorf("%+v", got)
	}
	all := find(t, root, run, true).Processes
	if len(all) != 1 || all[0].Verdict != procscan.Orphan || !all[0].Process.State.IsDead() || !says(all[0], "zombie") {
		t.Errorf("%+v", all)
	}
	if result := Kill(t.Context(), Report{Processes: all}, patient.in(root)); len(result.Killed)+len(result.Failed) > 0 {
		t.Errorf("%+v", result)
	}
}

// TestBrokenState: broken files are named, and nobody is killed for them.
func TestBrokenState(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := orphan(t, worker("sleep", run))
	deadRun(t, root, run, f.host)
	for _, name := range []string{"run.json", "workers.json"} {
		if err := os.WriteFile(filepath.Join(root, run, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := find(t, root, run, false)
	if len(r.Problems) != 2 || len(r.Processes) != 1 || r.Processes[0].Process.ID != f.child {
		t.Errorf("problems %q, %+v", r.Problems, r.Processes)
	}
	mustKill(t, root, run, patient)

	nothing := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(nothing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := find(t, nothing, run, false); len(r.Problems) != 1 {
		t.Errorf("a root that is a file: %q", r.Problems)
	}
}
