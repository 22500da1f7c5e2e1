package cmd

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
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

func TestTableFitsTheTerminal(t *testing.T) {
	for _, width := range []int{48, 60, 80, 100, 120, 200} {
		v := plainView()
		v.width = width
		for _, run := range sampleRuns()[:2] {
			for line := range strings.Lines(v.styles.table(v.columns(run))) {
				if got := ansi.StringWidth(strings.TrimSuffix(line, "\n")); got > width {
					t.Errorf("width %d: a line takes %d: %q", width, got, line)
				}
			}
		}
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
