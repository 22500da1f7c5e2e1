package cmd

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/orphans"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func plainView() view { return view{styles: newStyles(io.Discard), now: noon} }

// sampleRuns are two living runs, one that does not answer, and one that has ended.
func sampleRuns() []*runStatus {
	busy := &runStatus{
		RunID: "demo", State: "running",
		Supervisor: processStatus{1234, noon.Add(-3*time.Hour - 5*time.Minute)}, Guard: &guardStatus{1235},
		Pools: []*poolStatus{
			{Name: "api", Desired: 3, Ready: 1, Workers: []*workerStatus{
				sampleWorker("api-0", "ready", 2001, 0, 192*time.Second, 27_100_000, 2.5),
				{ID: "api-1", State: "backoff", Port: 40102, Incarnation: 3, Restarts: 2, host: "127.0.0.1", LastExit: "SIGSEGV", Message: "restarts in 400ms"},
				{ID: "api-10", State: "failed", Incarnation: 4, Restarts: 4, LastExit: "exit 1", Message: "cannot import adapter: \x1b[2J\nModuleNotFoundError: No module named 'numpy', and a traceback that is long"},
			}},
			{Name: "batch", Desired: 1, Ready: 1, Workers: []*workerStatus{
				sampleWorker("batch-0", "ready", 2004, 1, 76*time.Hour, 1_234_567_890, 180),
			}},
		},
	}
	starting := &runStatus{
		RunID: "fresh", State: "starting", Supervisor: processStatus{3000, noon.Add(-time.Second)},
		Pools: []*poolStatus{{Name: "default", Desired: 1, Workers: []*workerStatus{
			{ID: "default-0", State: "starting", PID: 3001, Port: 40200, Incarnation: 1, host: "127.0.0.1", startedAt: noon.Add(-time.Second), RSSBytes: 900},
		}}},
	}
	mute := &runStatus{
		RunID: "mute", State: stateUnknown, Supervisor: processStatus{4000, noon.Add(-90 * time.Second)},
		Pools: []*poolStatus{}, Message: "the supervisor did not answer within 2s",
	}
	ended := &runStatus{
		RunID: "old", State: stateEnded, Supervisor: processStatus{5000, noon.Add(-time.Hour)},
		Pools: []*poolStatus{}, Message: "stopped at 2026-03-04 11:30:00, after 30m00s",
	}
	runs := []*runStatus{busy, starting, mute, ended}
	for _, run := range runs {
		run.askedAt = noon
		run.measure(noon)
	}
	return runs
}

func sampleWorker(id, state string, pid, restarts int, up time.Duration, rss uint64, cpu float64) *workerStatus {
	return &workerStatus{
		ID: id, State: state, PID: pid, Port: 38000 + pid, Incarnation: uint64(restarts) + 1, Restarts: restarts, RSSBytes: rss,
		Health: &healthStatus{noon.Add(-3 * time.Second), 0.84}, Calls: callsStatus{Running: 1, Ended: 12_345, Failed: 6},
		host: "127.0.0.1", startedAt: noon.Add(-up), cpuSeconds: up.Seconds() * cpu / 100,
	}
}

func TestListTable(t *testing.T) {
	v := plainView()
	checkGolden(t, "list_table.txt", v.tables(sampleRuns()))
	v.width = 100
	checkGolden(t, "list_table_100.txt", v.tables(sampleRuns()))
	v.width = 60
	checkGolden(t, "list_table_60.txt", v.tables(sampleRuns()))
	v.width, v.wide = 60, true
	checkGolden(t, "list_wide.txt", v.tables(sampleRuns()))
}

// TestTablesFitTheTerminal: none is wider than the terminal, whatever it has to say.
func TestTablesFitTheTerminal(t *testing.T) {
	wide := sampleRuns()[0]
	wide.Pools[0].Workers[0].Message = "日本語のメッセージは幅が二倍です。表からはみ出してはいけません"
	for _, width := range []int{60, 80, 100, 120, 200} {
		v := plainView()
		v.width = width
		chaosReport := sampleChaos()
		for name, text := range map[string]string{
			"list":         v.styles.table(v.columns(sampleRuns()[0])),
			"list, CJK":    v.styles.table(v.columns(wide)),
			"list of one":  v.styles.table(v.columns(sampleRuns()[1])),
			"tree":         v.trees(sampleRuns()[:1], &processes{}),
			"orphans":      v.styles.table(v.orphanColumns(wideOrphans())),
			"restart":      v.styles.restarts(sampleRestarts(), width),
			"chaos":        chaosTable(v.styles, chaosReport, "", width),
			"chaos result": resultText(v.styles, chaosReport.Results[0], width),
			"error":        errorText(v.styles, strings.Repeat("cannot do it: too long ", 20), width),
		} {
			for line := range strings.Lines(text) {
				if got := ansi.StringWidth(strings.TrimSuffix(line, "\n")); got > width {
					t.Errorf("%s, width %d: a line takes %d: %q", name, width, got, line)
				}
			}
		}
	}
}

// wideOrphans are processes whose commands are long, and not in ASCII.
func wideOrphans() []orphans.Finding {
	var found []orphans.Finding
	for _, args := range [][]string{{"/usr/bin/python", "/tmp/日本語/grpc_server.py", "--adapter", "長い名前:クラス", "--snakepit-run-id", "demo"}, {"sleep", strings.Repeat("9", 200)}} {
		found = append(found, orphans.Finding{
			Process: procscan.Process{ID: procscan.ID{PID: 4_194_304}, Args: args}, RunID: "an-id-of-some-length", Verdict: procscan.Orphan,
			StartedAt: noon.Add(-100 * time.Hour), RSSBytes: 123_456_789, Ports: []int{40000, 50001, 60002},
		})
	}
	return found
}

// TestEmptyColumnsGoFirst: what says nothing gives way to what does.
func TestEmptyColumnsGoFirst(t *testing.T) {
	run := sampleRuns()[0]
	for _, w := range allWorkers(run) {
		w.LastExit, w.Message = "", ""
	}
	v := plainView()
	v.width = 80
	text := v.styles.table(v.columns(run))
	if !strings.Contains(text, "CPU") || strings.Contains(text, "MESSAGE") {
		t.Errorf("got:\n%s", text)
	}
}

func TestHeaderTellsADyingUptimeApart(t *testing.T) {
	run := &runStatus{RunID: "x", State: stateEnded, Supervisor: processStatus{7, noon.Add(-time.Hour)}}
	if got := plainView().header(run); strings.Contains(got, "up ") {
		t.Errorf("a run that has ended is still up: %q", got)
	}
}

func TestHumanBytes(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 27_149_999: "27.1 MB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		1_500_000_000: "1.5 GB", 999_999_999_999: "1.0 TB", 5_000_000_000_000: "5.0 TB",
	} {
		if got := humanBytes(bytes); got != want {
			t.Errorf("humanBytes(%d) = %q, want %q", bytes, got, want)
		}
	}
}

func TestHumanDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59*time.Second + 999*time.Millisecond: "59s", 192 * time.Second: "3m12s",
		60 * time.Second: "1m00s", 125 * time.Minute: "2h05m", 76 * time.Hour: "3d4h", 24 * time.Hour: "1d0h",
	} {
		if got := humanDuration(d); got != want {
			t.Errorf("humanDuration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestHarmless(t *testing.T) {
	tests := []struct{ name, in, plain, coloured string }{
		{"plain text", "häßlich 日本 \t x", "häßlich 日本 \t x", "häßlich 日本 \t x"},
		{"colour", "\x1b[1;31mred", "red", "\x1b[1;31mred\x1b[m"},
		{"clear screen", "a\x1b[2Jb", "ab", "ab"},
		{"cursor", "a\x1b[10;10Hb\x1b[Ac", "abc", "abc"},
		{"window title", "a\x1b]0;evil\x07b", "ab", "ab"},
		{"title without an end", "a\x1b]0;evil", "a", "a"},
		{"device query", "a\x1bPq\x1b\\b", "ab", "ab"},
		{"private m is no colour", "a\x1b[>4;1mb", "ab", "ab"},
		{"carriage return, bell, backspace", "a\rb\ac\bd", "abcd", "abcd"},
		{"8-bit CSI", "a\u009b2Jb", "a2Jb", "a2Jb"},
		{"broken UTF-8 is no 8-bit CSI", "a\x9b2Jb", "a\ufffd2Jb", "a\ufffd2Jb"},
		{"a sequence in a sequence", "a\x1b\x1b[2J[2Jb\x1b[3\x1b[1mc", "a[2Jbc", "a[2Jb\x1b[1mc\x1b[m"},
		{"half a sequence", "a\x1b[31", "a", "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.plain, harmless(test.in, false)); diff != "" {
				t.Errorf("without colours (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.coloured, harmless(test.in, true)); diff != "" {
				t.Errorf("with colours (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzHarmless(f *testing.F) {
	f.Add("a\x1b[2Jb\x1b[31mc\u009b")
	f.Fuzz(func(t *testing.T, text string) {
		if got := harmless(text, false); strings.ContainsAny(got, "\x1b\x07\r\n\b\u009b\u009d\u0090") {
			t.Errorf("harmless(%q) = %q", text, got)
		}
		coloured := harmless(text, true)
		if rest := regexp.MustCompile(`\x1b\[[0-9;:]*m`).ReplaceAllString(coloured, ""); strings.Contains(rest, "\x1b") {
			t.Errorf("harmless(%q) with colours = %q", text, coloured)
		}
	})
}

func TestTookText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0 ms", 5230 * time.Microsecond: "5.2 ms", 9949 * time.Microsecond: "9.9 ms", 9950 * time.Microsecond: "10 ms",
		218300 * time.Microsecond: "218 ms", 999400 * time.Microsecond: "999 ms", 999600 * time.Microsecond: "1.00 s", 75 * time.Second: "75.00 s",
	} {
		if got := tookText(d); got != want {
			t.Errorf("tookText(%v) = %q, want %q", d, got, want)
		}
	}
}
