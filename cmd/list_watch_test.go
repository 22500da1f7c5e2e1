package cmd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCPUMeter(t *testing.T) {
	look := func(incarnation uint64, seconds float64, at time.Duration) []*runStatus {
		w := &workerStatus{ID: "a-0", PID: 1, Incarnation: incarnation, startedAt: noon.Add(-100 * time.Second), cpuSeconds: seconds}
		return []*runStatus{{RunID: "demo", askedAt: noon.Add(at), Pools: []*poolStatus{{Workers: []*workerStatus{w}}}}}
	}
	meter := &cpuMeter{}
	steps := []struct {
		name string
		runs []*runStatus
		want float64
	}{
		{"first look: over the life of the process", look(1, 50, 0), 50},
		{"since the last look", look(1, 51.5, 2*time.Second), 75},
		{"idle", look(1, 51.5, 3*time.Second), 0},
		{"a new process in the slot: over its life again", look(2, 52, 4*time.Second), 50},
		{"no answer", []*runStatus{{RunID: "demo"}}, -1},
		{"after a gap: over its life", look(2, 53, 6*time.Second), 50},
	}
	for _, step := range steps {
		meter.measure(step.runs)
		if step.want < 0 {
			continue
		}
		got := step.runs[0].Pools[0].Workers[0].CPUPercent
		if fmt.Sprintf("%.1f", got) != fmt.Sprintf("%.1f", step.want) {
			t.Errorf("%s: %.1f %%, want %.1f %%", step.name, got, step.want)
		}
	}
}

func TestFrame(t *testing.T) {
	tests := []struct {
		name, text string
		size       screen
		first      bool
		want       string
	}{
		{"first", "ab\ncd", screen{80, 24}, true, "\x1b[2J\x1b[Hab\x1b[K\ncd\x1b[K\n\x1b[J"},
		{"over the last", "ab", screen{80, 24}, false, "\x1b[Hab\x1b[K\n\x1b[J"},
		{"too wide", "abcdef", screen{4, 24}, false, "\x1b[Habc…\x1b[K\n\x1b[J"},
		{"too high", "a\nb\nc\nd\ne", screen{80, 4}, false, "\x1b[Ha\x1b[K\nb\x1b[K\n… 3 more lines\x1b[K\n\x1b[J"},
		{"just fits", "a\nb\nc", screen{80, 4}, false, "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J"},
		{"no room at all", "a\nb", screen{80, 1}, false, "\x1b[H… 2 more lines\x1b[K\n\x1b[J"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, frame(test.text, test.size, test.first)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestFrameDoesNotScroll: what is drawn must leave the first line where it is.
func TestFrameDoesNotScroll(t *testing.T) {
	for height := 2; height < 30; height++ {
		text := strings.TrimSuffix(strings.Repeat("line\n", 20), "\n")
		if got := strings.Count(frame(text, screen{80, height}, true), "\n"); got >= height {
			t.Errorf("height %d: %d lines", height, got)
		}
	}
}
