package cmd

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/chaos"
)

// sampleChaos is a report with one of each kind.
func sampleChaos() chaos.Report {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	chosen, _ := chaos.Select([]string{"shutdown", "disk_full"})
	report := chaos.Report{Seed: 7, Again: []string{"--config", "my pool.yaml", "--workers", "3"}, Began: at, Took: 12345 * time.Millisecond, Rounds: 2}
	for _, s := range chosen {
		report.Results = append(report.Results, chaos.Result{Scenario: s})
	}
	gone := chaos.Check{Name: "no survivor", Passed: true, Detail: "the last of 4 gone after 9 ms, limit 5s", Took: 9 * time.Millisecond}
	held := chaos.Check{Name: "registry, socket, lock", Passed: true, Detail: "empty, gone, free"}
	survivor := chaos.Check{Name: "no survivor", Detail: "alive after 5s: PID 41 (python\x1b[31m <grpc_server.py>)\nand another"}
	for i := range 2 {
		passed := chaos.Outcome{Scenario: "normal_shutdown", Iteration: i + 1, Seed: uint64(7 + i), Passed: true, Took: 600 * time.Millisecond, Checks: []chaos.Check{gone, held}}
		report.Results[0].Add(passed)
		report.Results[3].Add(passed)
	}
	report.Results[3].Add(chaos.Outcome{
		Scenario: "supervisor_crash", Iteration: 3, Seed: 9, Took: 5 * time.Second, Checks: []chaos.Check{survivor, held},
		Timeline: []chaos.Moment{
			{At: at, Source: "command", Text: "snakepit start -d"},
			{At: at.Add(1500 * time.Microsecond), Source: "chaos-abcdefghij", Text: "run_ready  PID 40"},
			{At: at.Add(12 * time.Millisecond), Source: "fault", Text: "the supervisor gets SIGKILL: PID [40]"},
		},
		Logs: []chaos.LogTail{{Name: "chaos-abcdefghij/default-0", Lines: []string{"one", "two \x1b[2J\x00end"}}},
	})
	report.Results[4].Add(chaos.Outcome{Scenario: "disk_full", Skipped: "it needs root"})
	return report
}

func TestChaosText(t *testing.T) {
	plain := newStyles(io.Discard)
	checkGolden(t, "chaos.txt", chaosText(plain, sampleChaos(), 0))
	for line := range strings.Lines(chaosTable(plain, sampleChaos(), "", 60)) {
		if len([]rune(strings.TrimRight(line, "\n"))) > 60 {
			t.Errorf("wider than 60: %q", line)
		}
	}
	live := chaosTable(plain, sampleChaos(), "kill_during_shutdown", 0)
	if !strings.Contains(live, "● running") || !strings.Contains(live, "◌ waiting") || strings.Contains(live, "not run") {
		t.Errorf("while one runs:\n%s", live)
	}
}

// On a small screen the scenario that runs and what has failed are seen in any case.
func TestChaosNear(t *testing.T) {
	w := newChaosWatch(io.Discard, chaos.Scenarios(), chaos.Options{Rounds: 1})
	w.scenario = chaos.Scenarios()[15]
	for i := range 15 {
		w.report.Results[i].Add(chaos.Outcome{Passed: i != 2, Took: time.Second})
	}
	for rows, want := range map[int]string{
		3:  "… 18 more: 13 passed, 5 waiting",
		20: "… 1 more: 1 passed",
		21: "",
	} {
		near, rest := w.near(rows)
		var names []string
		for _, r := range near.Results {
			names = append(names, r.Scenario.Name)
		}
		if rest != want || len(names) != rows || !slices.Contains(names, w.scenario.Name) || !slices.Contains(names, chaos.Scenarios()[2].Name) {
			t.Errorf("%d rows: %q, %v", rows, rest, names)
		}
	}
}

// The document as it was promised, written down a second time.
func TestChaosJSON(t *testing.T) {
	type check struct {
		Name   string `json:"name"`
		Passed bool   `json:"passed"`
		Detail string `json:"detail"`
	}
	var document struct {
		SchemaVersion int    `json:"schema_version"`
		Seed          uint64 `json:"seed"`
		Passed        bool   `json:"passed"`
		Cut           bool   `json:"cut,omitempty"`
		Scenarios     []struct {
			Name       string  `json:"name"`
			Passed     bool    `json:"passed"`
			Skipped    string  `json:"skipped,omitempty"`
			Cut        bool    `json:"cut,omitempty"`
			Iterations int     `json:"iterations"`
			Failures   int     `json:"failures"`
			DurationMS float64 `json:"duration_ms"`
			Checks     []check `json:"checks"`
			Failed     []struct {
				Iteration int     `json:"iteration"`
				Seed      uint64  `json:"seed"`
				Again     string  `json:"again"`
				Checks    []check `json:"checks"`
				Timeline  []struct {
					Time   time.Time `json:"time"`
					AtMS   float64   `json:"at_ms"`
					Source string    `json:"source"`
					Text   string    `json:"text"`
				} `json:"timeline"`
				Logs []struct {
					Name  string   `json:"name"`
					Lines []string `json:"lines"`
				} `json:"logs"`
			} `json:"failed,omitempty"`
		} `json:"scenarios"`
	}
	var out bytes.Buffer
	if err := printJSON(&out, chaosDocumentOf(sampleChaos())); err != nil {
		t.Fatal(err)
	}
	if err := promised(out.String(), &document); err != nil {
		t.Fatal(err)
	}
	crash, full := document.Scenarios[3], document.Scenarios[4]
	switch {
	case document.SchemaVersion != 1 || document.Seed != 7 || document.Passed || len(document.Scenarios) != 5:
		t.Errorf("%+v", document)
	case !document.Scenarios[0].Passed || document.Scenarios[0].Iterations != 2 || document.Scenarios[0].DurationMS != 1200:
		t.Errorf("%+v", document.Scenarios[0])
	case crash.Passed || crash.Iterations != 3 || crash.Failures != 1 || crash.Checks[0].Passed || !strings.HasPrefix(crash.Checks[0].Detail, "iteration 3 (--seed 9)"):
		t.Errorf("%+v", crash)
	case full.Passed || full.Skipped != "it needs root" || document.Scenarios[1].Skipped == "":
		t.Errorf("%+v", full)
	}
	if len(crash.Failed) != 1 || len(document.Scenarios[0].Failed) != 0 {
		t.Fatalf("%+v", document)
	}
	f := crash.Failed[0]
	switch {
	case f.Iteration != 3 || f.Again != "snakepit chaos supervisor_crash --seed 9 --config 'my pool.yaml' --workers 3":
		t.Errorf("%+v", f)
	case len(f.Checks) != 2 || len(f.Timeline) != 3 || f.Timeline[2].AtMS != 12 || f.Timeline[2].Source != "fault" || f.Timeline[0].Time.IsZero():
		t.Errorf("%+v", f)
	case len(f.Logs) != 1 || f.Logs[0].Name != "chaos-abcdefghij/default-0" || len(f.Logs[0].Lines) != 2:
		t.Errorf("%+v", f.Logs)
	}
}

// What was cut short is an error in a JUnit file, in the scenario that ran and in
// those that were to follow: what is only skipped is green.
func TestChaosJUnitOfACut(t *testing.T) {
	chosen, _ := chaos.Select([]string{"shutdown"})
	report := chaos.Report{Seed: 7, Cut: true, Took: time.Second}
	for _, s := range chosen {
		report.Results = append(report.Results, chaos.Result{Scenario: s})
	}
	held := chaos.Outcome{Passed: true, Took: time.Second, Checks: []chaos.Check{{Name: "ports", Passed: true}}}
	report.Results[0].Add(held)
	report.Results[1].Add(held)
	report.Results[1].Cut = true // in a second round
	report.Results[2].Add(chaos.Outcome{Skipped: "not here"})
	var out bytes.Buffer
	if err := printJUnit(&out, report); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Errors int `xml:"errors,attr"`
		Suites []struct {
			Errors int `xml:"errors,attr"`
			Cases  []struct {
				Name  string `xml:"name,attr"`
				Error *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	var red []string
	for _, c := range read.Suites[0].Cases {
		if c.Error != nil && strings.Contains(c.Error.Message, "cut short") && strings.Contains(c.Error.Text, "snakepit chaos "+c.Name+" --seed 7") {
			red = append(red, c.Name)
		}
		if (c.Skipped != nil) != (c.Name == "port_not_releasing") {
			t.Errorf("%s: skipped %v", c.Name, c.Skipped != nil)
		}
	}
	if diff := cmp.Diff([]string{"kill_during_shutdown", "supervisor_crash"}, red); diff != "" || read.Errors != 2 || read.Suites[0].Errors != 2 {
		t.Errorf("%d errors (-want +got):\n%s", read.Errors, diff)
	}
}

// The command that meets a failure again has all that the pool depended on, and is
// one for a shell.
func TestChaosAgain(t *testing.T) {
	o := &chaosOptions{
		file: "it's mine.yaml", adapter: "hello:Hello", python: "/opt/py/bin/python", workers: 8, workersSet: true, timeout: 90 * time.Second,
	}
	const want = `snakepit chaos decoys --seed 5 --config 'it'\''s mine.yaml' --adapter hello:Hello --python /opt/py/bin/python --workers 8 --timeout 1m30s`
	if got := againLine(chaos.Outcome{Scenario: "decoys", Seed: 5}, o.again()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	plain := &chaosOptions{workers: 4, timeout: chaosTimeout}
	if got := againLine(chaos.Outcome{Scenario: "decoys", Seed: 5}, plain.again()); got != "snakepit chaos decoys --seed 5" {
		t.Error(got)
	}
}

// What a reader of JUnit files counts is what was reported, and what a terminal
// must not get is not in it either.
func TestChaosJUnit(t *testing.T) {
	var out bytes.Buffer
	if err := printJUnit(&out, sampleChaos()); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "chaos.xml", strings.TrimSuffix(out.String(), "\n"))
	type testcase struct {
		Class   string  `xml:"classname,attr"`
		Name    string  `xml:"name,attr"`
		Time    float64 `xml:"time,attr"`
		Failure *struct {
			Message string `xml:"message,attr"`
			Text    string `xml:",chardata"`
		} `xml:"failure"`
		Skipped *struct{} `xml:"skipped"`
	}
	var read struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Cases []testcase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	decoder := xml.NewDecoder(bytes.NewReader(out.Bytes()))
	if err := decoder.Decode(&read); err != nil {
		t.Fatal(err)
	}
	var failed, skipped []string
	for _, suite := range read.Suites {
		for _, c := range suite.Cases {
			if c.Failure != nil {
				failed = append(failed, c.Class+"."+c.Name)
				if !strings.Contains(c.Failure.Text, "snakepit chaos supervisor_crash --seed 9") || !strings.Contains(c.Failure.Text, "SIGKILL") {
					t.Errorf("%q", c.Failure.Text)
				}
			}
			if c.Skipped != nil {
				skipped = append(skipped, c.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"chaos.shutdown.supervisor_crash"}, failed); diff != "" {
		t.Errorf("failed (-want +got):\n%s", diff)
	}
	if read.Tests != 5 || read.Failures != 1 || len(skipped) != 3 {
		t.Errorf("%+v", read)
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Error("it has escape sequences")
	}
}

func TestChaosUsage(t *testing.T) {
	s := newSandbox(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "name a suite"},
		{[]string{"shutdwon"}, `there is no suite and no scenario "shutdwon"; did you mean shutdown?`},
		{[]string{"shutdown", "decoy"}, `did you mean decoys?`},
		{[]string{"shutdown", "--iterations", "0"}, "at least 1"},
		{[]string{"shutdown", "--timeout", "0s"}, "not positive"},
		{[]string{"shutdown", "--duration", "-1s"}, "negative"},
		{[]string{"shutdown", "-o", "yaml"}, "table|json|junit"},
		{[]string{"shutdown", "--config", "nowhere.yaml"}, "nowhere.yaml"},
		{[]string{"shutdown", "--workers", "0"}, "--workers"},
		{[]string{"shutdown", "--iterations", "-3"}, "say how often each scenario is run: --iterations 1"},
		{[]string{"shutdown", "--iterations", "3", "--duration", "1m"}, "leave one of them out"},
		{[]string{"shutdown", "--seed", "-1"}, "--seed"},
		{[]string{"qqqqqqqqqq"}, "snakepit chaos list"},
		{[]string{"shutdown", "--report", "nowhere/chaos.xml"}, "choose another place"},
		{[]string{"shutdown", "--report", "."}, "choose another place"},
	} {
		out, err := s.command(append([]string{"chaos"}, tt.args...)...).CombinedOutput()
		if wrong := exitsWith("2", err); wrong != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("%q: %v: %s", tt.args, wrong, out)
		}
	}
}

func TestChaosList(t *testing.T) {
	s := newSandbox(t)
	out, err := s.command("chaos", "list", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		SchemaVersion int `json:"schema_version"`
		Scenarios     []struct {
			Name, Suite, Assumes, Fault, Brings string
		}
	}
	if err := json.Unmarshal(out, &list); err != nil || len(list.Scenarios) != len(chaos.Scenarios()) || list.Scenarios[0].Fault == "" {
		t.Errorf("%v: %s", err, out)
	}
	out, err = s.command("chaos", "list").Output()
	if err != nil || !strings.Contains(string(out), "supervisor_crash") {
		t.Errorf("%v: %s", err, out)
	}
}

// A pool that no start takes is wrong usage, and a temp directory that is not there
// is named with what chooses another: neither says anything of a promise.
func TestChaosThatCannotBegin(t *testing.T) {
	s := newChaosSandbox(t)
	for name, tt := range map[string]struct {
		env, code string
		args      []string
		want      string
	}{
		"no such adapter":   {"A=b", "2", []string{"supervisor_crash", "--adapter", "nosuch:Adapter", "--workers", "1", "--keep-going"}, "this pool cannot be started"},
		"no temp directory": {"TMPDIR=" + filepath.Join(s.dir, "nowhere"), "1", []string{"supervisor_crash"}, "TMPDIR=/var/tmp"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := s.command(append([]string{"chaos"}, tt.args...)...)
			cmd.Env = append(cmd.Env, tt.env)
			out, err := cmd.CombinedOutput()
			if wrong := exitsWith(tt.code, err); wrong != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: %s", wrong, out)
			}
			for _, line := range strings.Split(string(out), "\n") {
				if strings.HasPrefix(line, "supervisor_crash ") && len(line) > 400 {
					t.Errorf("a row of the table has %d bytes: %s", len(line), line)
				}
			}
		})
	}
}

// A chaos that is killed leaves nothing either: its runs would go on for ever.
func TestChaosKilled(t *testing.T) {
	s := newChaosSandbox(t)
	report := filepath.Join(s.dir, "chaos.xml")
	if err := os.WriteFile(report, []byte("all was well, yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := s.command("chaos", "disk_full", "hung_worker", "--workers", "1", "-o", "junit", "--report", "chaos.xml")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	mustBeKept(t, s, cmd, awaitPrivateRun(t, s, "chaos*", "*"))
	if text, err := os.ReadFile(report); len(text) > 0 || err != nil {
		t.Errorf("it has a report: %v: %s", err, text)
	}
}

// A bench that is killed leaves nothing either, at whatever it is.
func TestBenchKilled(t *testing.T) {
	s := newChaosSandbox(t)
	cmd := s.command("bench", "--rows", "stop", "--workers", "2")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	mustBeKept(t, s, cmd, awaitPrivateRun(t, s, "bench*"))
}

// mustBeKept kills a command that has a keeper, and finds nothing of its run.
func mustBeKept(t *testing.T, s *sandbox, cmd *exec.Cmd, id string) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	temp := filepath.Join(filepath.Dir(s.dir), "t")
	left := []os.DirEntry{nil}
	for deadline := time.Now().Add(time.Minute); len(left) > 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		left, _ = os.ReadDir(temp) // its place is removed last
	}
	look := s.command("orphans", "--all", "--run-id", id, "-o", "json")
	if found, err := look.Output(); err != nil || strings.Contains(string(found), `"pid"`) || len(left) > 0 {
		t.Errorf("left %v, %v: %s", left, err, found)
	}
}

// awaitPrivateRun returns the id of a run that chaos or bench has started in its place.
func awaitPrivateRun(t *testing.T, s *sandbox, place ...string) string {
	t.Helper()
	places := filepath.Join(filepath.Dir(s.dir), "t", filepath.Join(place...), "s", "snakepit", "runs", "*", "run.json")
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if record, _ := filepath.Glob(places); len(record) > 0 {
			return filepath.Base(filepath.Dir(record[0]))
		}
	}
	t.Error("no run came to be")
	return ""
}

// newChaosSandbox has a temp directory of its own, which must be empty at the end.
func newChaosSandbox(t *testing.T) *sandbox {
	t.Helper()
	managedPython(t)
	s := newSandbox(t)
	temp := filepath.Join(filepath.Dir(s.dir), "t")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "TMPDIR="+temp)
	t.Cleanup(func() {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left in the temp directory: %v, %v", left, err)
		}
	})
	return s
}

// The suite shutdown, on this machine, with real workers.
func TestChaosShutdown(t *testing.T) {
	s := newChaosSandbox(t)
	cmd := s.command("chaos", "shutdown", "--workers", "2", "--seed", "1", "-o", "junit", "--report", "chaos.xml")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	report, err := os.ReadFile(filepath.Join(s.dir, "chaos.xml"))
	if err != nil || !strings.Contains(string(report), `tests="4" failures="0" errors="0"`) {
		t.Errorf("%v: %s", err, report)
	}
	if !strings.Contains(string(out), "passed  every check of 4 iterations") || !strings.Contains(string(out), "seed 1") {
		t.Errorf("%s", out)
	}
}

// A program that breaks its promise is found out: without its layers against
// orphans, the workers of a supervisor that was killed live on.
func TestChaosFindsOut(t *testing.T) {
	s := newChaosSandbox(t)
	s.env = append(s.env, layersVariable+"=pdeathsig,guard")
	out, err := s.command("chaos", "ignores_term", "--workers", "1", "--seed", "1", "-o", "json").Output()
	if wrong := exitsWith("1", err); wrong != nil || !strings.Contains(string(out), "alive after") {
		t.Errorf("%v: %s", wrong, out)
	}
}

// Ctrl-C ends what runs, and nothing is left.
func TestChaosInterrupted(t *testing.T) {
	s := newChaosSandbox(t)
	cmd := s.command("chaos", "hung_worker", "supervisor_crash", "--workers", "2", "-o", "junit", "--report", "chaos.xml")
	var out strings.Builder
	cmd.Stderr = &out
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id := awaitPrivateRun(t, s, "chaos*", "*")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(stdout)
	if wrong := exitsWith("1", cmd.Wait()); wrong != nil || strings.Count(out.String(), "cut short") < 2 {
		t.Errorf("%v: %s%s", wrong, text, out.String())
	}
	report, err := os.ReadFile(filepath.Join(s.dir, "chaos.xml"))
	if err != nil || !strings.Contains(string(report), `tests="2" failures="0" errors="2"`) {
		t.Errorf("the report of what was cut short is not red: %v: %s", err, report)
	}
	look := s.command("orphans", "--all", "--run-id", id, "-o", "json")
	if found, err := look.Output(); err != nil || strings.Contains(string(found), `"pid"`) {
		t.Errorf("%v: %s", err, found)
	}
}
