package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecordThereAndBack(t *testing.T) {
	root := t.TempDir()
	run := create(t, root, "demo")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := Record{
		SchemaVersion: 1, RunID: "demo", Version: "v1.2.3", ControlAPI: 1,
		Supervisor: Process{PID: 10, Start: 1 << 60, Boot: "b", StartedAt: at}, Guard: &Process{PID: 11, StartedAt: at},
		Socket: "/run/x.sock", State: StateEnded, Config: json.RawMessage(`{"a":[1]}`),
		End: &End{At: at, How: EndStopped, Reason: "asked to", Found: []int{5, 6}, Killed: []int{5}, Survivors: []int{6}},
	}
	rec := want
	rec.SchemaVersion, rec.RunID = 0, ""
	if err := run.WriteRecord(rec); err != nil {
		t.Fatal(err)
	}
	found, err := Open(root, "demo")
	if err != nil || found.Record == nil {
		t.Fatalf("%+v, %v", found, err)
	}
	var compact strings.Builder
	json.NewEncoder(&compact).Encode(found.Record.Config)
	found.Record.Config = json.RawMessage(strings.TrimSpace(compact.String()))
	if diff := cmp.Diff(&want, found.Record); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	data, _ := os.ReadFile(filepath.Join(run.Path(), "run.json"))
	for _, key := range []string{"schema_version", "run_id", "version", "control_api", "supervisor", "started_at", "guard", "socket", "state", "config", "end", "how", "survivors"} {
		if !strings.Contains(string(data), `"`+key+`":`) {
			t.Errorf("run.json has no %s", key)
		}
	}
}

func TestList(t *testing.T) {
	root := t.TempDir()
	endedRun(t, root, "ended", 1)
	alive := create(t, root, "alive")
	alive.WriteRecord(Record{State: StateRunning})
	create(t, root, "beginning") // no record yet
	died := create(t, root, "died")
	died.WriteRecord(Record{State: StateRunning})
	died.Close()
	for id, text := range map[string]string{
		"empty": "", "half": `{"schema_version":1,"run_id":"ha`, "future": `{"schema_version":9}`,
		"other": `{"schema_version":1,"run_id":"demo","state":"running"}`,
		"state": `{"schema_version":1,"run_id":"state","state":"flying"}`,
		"pid":   `{"schema_version":1,"run_id":"pid","state":"running","supervisor":{"pid":-1}}`,
	} {
		run := create(t, root, id)
		run.Close()
		writeFile(t, text, root, id, "run.json")
	}
	os.Mkdir(filepath.Join(root, "bare"), 0o700)
	os.Mkdir(filepath.Join(root, ".pruned-x"), 0o700)
	writeFile(t, "", root, "stray-file")
	before := snapshot(t, root)

	runs, problems, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range runs {
		state := "no record"
		if f.Record != nil {
			state = f.Record.State
		}
		got = append(got, fmt.Sprintf("%s alive=%v unknown=%v %s", f.RunID, f.Alive, f.LockUnknown, state))
	}
	want := []string{
		"alive alive=true unknown=false running", "bare alive=false unknown=true no record",
		"beginning alive=true unknown=false no record", "died alive=false unknown=false running",
		"empty alive=false unknown=false no record", "ended alive=false unknown=false ended",
		"future alive=false unknown=false no record", "half alive=false unknown=false no record",
		"other alive=false unknown=false no record", "pid alive=false unknown=false no record",
		"state alive=false unknown=false no record",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	var reasons []string
	for _, p := range problems {
		reasons = append(reasons, strings.Replace(p.String(), root+"/", "", 1))
	}
	wantReasons := []string{
		"cannot use bare/run.json: no such file or directory",
		"cannot use empty/run.json: unexpected end of JSON input",
		"cannot use future/run.json: schema version 9 is not known here, only 1 is",
		"cannot use half/run.json: unexpected end of JSON input",
		`cannot use other/run.json: it belongs to run "demo"`,
		"cannot use pid/run.json: a PID is negative",
		`cannot use state/run.json: "flying" is not a state of a run`,
	}
	if diff := cmp.Diff(wantReasons, reasons); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, snapshot(t, root)); diff != "" {
		t.Errorf("List changed something (-before +after):\n%s", diff)
	}
}

// snapshot lists every path below root with its size, mode and time.
func snapshot(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		all = append(all, fmt.Sprint(path, info.Size(), info.Mode(), info.ModTime()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestListRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "none")
	if runs, problems, err := List(root); runs != nil || problems != nil || err != nil {
		t.Errorf("no root: %v, %v, %v", runs, problems, err)
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("List made the root")
	}
	writeFile(t, "", root)
	if _, _, err := List(root); err == nil {
		t.Error("a file as root: no error")
	}
}

func TestOpenMissing(t *testing.T) {
	root := t.TempDir()
	endedRun(t, root, "demo", 1)
	for _, id := range []string{"other", "", "..", "../" + filepath.Base(root), "demo/logs"} {
		if found, err := Open(root, id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open(%q) = %+v, %v, want fs.ErrNotExist", id, found, err)
		}
	}
}

func TestPrune(t *testing.T) {
	root := t.TempDir()
	for i := range 5 {
		endedRun(t, root, fmt.Sprintf("ended%d", i), int64(i))
	}
	alive := create(t, root, "alive")
	// The lock decides, and a living run is none of those to keep.
	alive.WriteRecord(Record{State: StateEnded, End: &End{At: time.Unix(1000, 0)}})
	for id, rec := range map[string]Record{
		"orphans":   {State: StateRunning},
		"survivors": {State: StateEnded, End: &End{Survivors: []int{5}}},
		"cleaned":   {State: StateEnded, End: &End{How: EndSupervisorDied}},
		"nobody":    {State: StateRunning},
	} {
		run := create(t, root, id)
		run.WriteRecord(rec)
		if id != "nobody" {
			writeFile(t, `{"schema_version":1,"workers":[{"worker":"a","pid":5}]}`, run.Path(), "workers.json")
		}
		run.Close()
		old := time.Unix(-100, 0)
		os.Chtimes(run.Path(), old, old)
	}
	broken := create(t, root, "broken") // and a registry that nobody can read
	broken.Close()
	writeFile(t, "x", root, "broken", "run.json")
	writeFile(t, "x", root, "broken", "workers.json")
	os.Mkdir(filepath.Join(root, "bare"), 0o700)
	os.MkdirAll(filepath.Join(root, ".pruned-interrupted", "logs"), 0o700)

	// The second look, under the lock, at a run that was ended at the first.
	if ok, err := prune(root, "orphans"); ok || err != nil {
		t.Errorf("prune of a run with orphans: %v, %v", ok, err)
	}
	removed, err := Prune(root, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ended2", "ended1", "ended0", "nobody", "cleaned"}, removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	var left []string
	entries, _ := os.ReadDir(root)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{"alive", "bare", "broken", "ended3", "ended4", "orphans", "survivors"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if removed, err := Prune(root, 20); removed != nil || err != nil {
		t.Errorf("nothing to prune: %v, %v", removed, err)
	}
	if removed, err := Prune(filepath.Join(root, "none"), 0); removed != nil || err != nil {
		t.Errorf("no root: %v, %v", removed, err)
	}
}

// TestPruneBesideCreate reuses one id while another goroutine prunes it: a run
// that was created must keep its directory.
func TestPruneBesideCreate(t *testing.T) {
	root := t.TempDir()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := Prune(root, 0); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for range 100 {
		run, err := Create(t.Context(), root, "demo")
		if err != nil {
			t.Error(err)
			break
		}
		if err := run.WriteRecord(Record{State: StateEnded}); err != nil {
			t.Error(err)
		}
		if found, err := Open(root, "demo"); err != nil || !found.Alive {
			t.Errorf("the run lost its directory: %+v, %v", found, err)
		}
		run.Close()
	}
	close(stop)
	<-stopped
}

func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", `{"schema_version":1,"run_id":"demo","state":"running","supervisor":{"pid":1,"start":2,"boot":"b","started_at":"2026-01-02T03:04:05Z"},"config":{}}`,
		`{"schema_version":1,"run_id":"demo","state":"ended","guard":{"pid":-1},"end":{"how":"stopped","found":[1]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := parseRecord(data, "demo")
		if err != nil {
			return
		}
		if rec.RunID != "demo" || rec.Supervisor.PID < 0 || !knownState(rec.State) {
			t.Fatalf("accepted %+v", rec)
		}
		again, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecord(again, "demo"); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
