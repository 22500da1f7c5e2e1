package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/snakepit-dev/snakepit/internal/bench"
)

// sampleBench is a report with one of each kind.
func sampleBench() bench.Report {
	report := bench.Report{
		Began: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Took: 61 * time.Second, Quick: true, Adapter: "hello:Hello",
		Machine: bench.Machine{OS: "linux", Arch: "amd64", CPUs: 2, MemoryBytes: 8e9, LoadBefore: 0.25, LoadAfter: 1.5},
	}
	all := map[string]bench.Row{}
	for _, r := range bench.Rows() {
		all[r.Name] = r
	}
	report.Results = []bench.Result{
		{Row: all["restart"], Count: 1, Ours: []float64{14, 15, 16}, Floor: []float64{15, 16, 17}, Notes: []string{"the whole command takes 21.0 ms (median)"}},
		{Row: all["ready"], Count: 8, Ours: []float64{300, 310}, Floor: []float64{400, 1500}},
		{Row: all["orphans"], Count: 2000, Skipped: "there is no pgrep to compare with"},
		{Row: all["killed"], Count: 8, Ours: []float64{120}},
		{Row: all["stop"], Count: 8, Ours: []float64{60}, Floor: []float64{20}},
		{Row: all["memory"], Count: 100, Ours: []float64{33.3}},
		{Row: all["list"], Count: 100, Failed: "snakepit list: exit status 1\nerror: \x1b[31mno"},
	}
	return report
}

func TestBenchText(t *testing.T) {
	plain := newStyles(io.Discard)
	checkGolden(t, "bench.txt", benchText(plain, sampleBench(), 0))
	for line := range strings.Lines(benchText(plain, sampleBench(), 80)) {
		if ansi.StringWidth(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("wider than 80: %q", line)
		}
	}
	checkGolden(t, "bench_list.txt", benchListText(plain, bench.Rows(), 0))
}

func TestBenchJSON(t *testing.T) {
	var out bytes.Buffer
	if err := printJSON(&out, benchDocumentOf(sampleBench())); err != nil {
		t.Fatal(err)
	}
	var got struct {
		SchemaVersion int `json:"schema_version"`
		Quick         bool
		Rows          []struct {
			Name, Unit, Verdict, Skipped, Failed string
			Count                                int
			Ours, Floor                          *struct{ Median, P95 float64 }
			Ratio                                *float64
			Goal                                 struct {
				AtMost *float64 `json:"at_most"`
				Ratio  *float64
				Above  *float64 `json:"above_floor"`
			}
			Check bool
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.SchemaVersion != 1 || !got.Quick || len(got.Rows) != 7 {
		t.Fatalf("%v: %s", err, out.String())
	}
	restart, orphans, list := got.Rows[0], got.Rows[2], got.Rows[6]
	if restart.Ours.Median != 15 || restart.Floor.P95 != 17 || *restart.Ratio != 15.0/16 || *restart.Goal.AtMost != 25 || restart.Verdict != "holds" {
		t.Errorf("restart: %+v", restart)
	}
	if orphans.Ours != nil || orphans.Ratio != nil || orphans.Skipped == "" || !orphans.Check || orphans.Verdict != "" {
		t.Errorf("orphans: %+v", orphans)
	}
	if list.Failed == "" || list.Check {
		t.Errorf("list: %+v", list)
	}
}

func TestBenchExitCodes(t *testing.T) {
	row := bench.Row{Name: "ready", Goal: bench.Goal{By: bench.Median, Ratio: 0.5}}
	within := bench.Report{Results: []bench.Result{{Row: row, Ours: []float64{9}, Floor: []float64{10}}}} // misses, not grossly
	gross := bench.Report{Results: []bench.Result{{Row: row, Ours: []float64{11}, Floor: []float64{10}}}}
	broken := bench.Report{Results: []bench.Result{{Row: row, Failed: "it broke"}}}
	for _, tt := range []struct {
		name   string
		report bench.Report
		check  bool
		want   int
	}{
		{"misses", within, true, exitDone},
		{"misses grossly, not checked", gross, false, exitDone},
		{"misses grossly", gross, true, exitFailed},
		{"cannot be measured", broken, false, exitFailed},
		{"cut", bench.Report{Cut: true}, false, exitFailed},
	} {
		code := exitDone
		if err := (&benchOptions{check: tt.check}).judge(tt.report); err != nil {
			code, _ = judge(err)
		}
		if code != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.name, code, tt.want)
		}
	}
}

func TestBenchUsage(t *testing.T) {
	s := newSandbox(t)
	two := "pools:\n  a:\n    workers: 1\n  b:\n    workers: 1\n"
	if err := os.WriteFile(filepath.Join(s.dir, "two.yaml"), []byte(two), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--rows", "restrat"}, `there is no row "restrat"`},
		{[]string{"--rows", "restrat"}, "did you mean restart?"},
		{[]string{"--rows", ""}, "it names no row"},
		{[]string{"--workers", "0"}, "at least 1"},
		{[]string{"-o", "yaml"}, "table|json"},
		{[]string{"--config", "nowhere.yaml"}, "nowhere.yaml"},
		{[]string{"--config", "two.yaml"}, "--adapter"},
		{[]string{"--report", "nowhere/bench.json"}, "--report bench.json"},
		{[]string{"restart"}, "snakepit bench --help"},
	} {
		out, err := s.command(append([]string{"bench"}, tt.args...)...).CombinedOutput()
		if wrong := exitsWith("2", err); wrong != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("%q: %v: %s", tt.args, wrong, out)
		}
	}
}

// Rows of each kind, with real workers of a pool in a file, and a real floor; how fast
// is not looked at.
func TestBenchMeasures(t *testing.T) {
	s := newChaosSandbox(t)
	files := map[string]string{
		"hello.py":      "from snakepit import Adapter, tool\nclass Hello(Adapter):\n    @tool\n    def hi(self) -> str:\n        return 'hi'\n",
		"snakepit.yaml": "metrics: 127.0.0.1:1\npools:\n  default:\n    adapter: hello:Hello\n    workers: 3\n",
	}
	held, err := net.Listen("tcp", "127.0.0.1:0") // the pool of the file runs already
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	files["snakepit.yaml"] += fmt.Sprintf("    base_port: %d\n", held.Addr().(*net.TCPAddr).Port)
	if runtime.GOOS == "linux" {
		files["snakepit.yaml"] += "    preload: true\n" // which says nothing to those that are spawned
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows := []string{"restart", "restart-spawn", "ready", "orphans-200", "killed", "stop", "worker-memory"}
	cmd := s.command("bench", "--quick", "--rows", strings.Join(rows, ","), "--workers", "1", "-o", "json",
		"--config", "snakepit.yaml", "--cpuprofile", "profiles")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.String())
	}
	var report struct {
		Rows []struct {
			Name    string
			Skipped string
			Ours    *struct{ Values []float64 }
			Floor   *struct{ Values []float64 }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Rows) != len(rows) {
		t.Fatalf("%v: %s", err, out)
	}
	for _, r := range report.Rows {
		switch {
		case r.Skipped != "":
		case r.Ours == nil || len(r.Ours.Values) == 0:
			t.Errorf("%s: nothing was measured", r.Name)
		case r.Name != "killed" && len(r.Floor.Values) != len(r.Ours.Values):
			t.Errorf("%s: %d of ours, %d of the floor", r.Name, len(r.Ours.Values), len(r.Floor.Values))
		}
	}
	profiles, err := filepath.Glob(filepath.Join(s.dir, "profiles", "supervise-*.pprof"))
	if err != nil || len(profiles) == 0 {
		t.Errorf("no profile: %v", err)
	}
}

// Ctrl-C ends what runs, and nothing is left: newChaosSandbox looks.
func TestBenchInterrupted(t *testing.T) {
	s := newChaosSandbox(t)
	cmd := s.command("bench", "--rows", "stop", "--workers", "2")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pattern := filepath.Join(filepath.Dir(s.dir), "t", "bench*", "s", "snakepit", "runs", "bench-*", "run.json")
	var record []string
	for deadline := time.Now().Add(time.Minute); len(record) == 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		record, _ = filepath.Glob(pattern) // the run is there, or just comes to be
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(stdout)
	if wrong := exitsWith("1", cmd.Wait()); wrong != nil || !strings.Contains(complaints.String(), "cut short") {
		t.Errorf("%v: %s%s", wrong, text, complaints.String())
	}
	if len(record) == 0 {
		t.Fatalf("no run came to be: %s", text)
	}
	look := s.command("orphans", "--all", "--run-id", filepath.Base(filepath.Dir(record[0])), "-o", "json")
	if found, err := look.Output(); err != nil || strings.Contains(string(found), `"pid"`) {
		t.Errorf("%v: %s", err, found)
	}
}
