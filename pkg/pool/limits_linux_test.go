package pool

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseThreads(t *testing.T) {
	for _, tt := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{"0.20 0.18 0.12 1/80 11206\n", 80, true}, // proc_loadavg(5)
		{"0.20 0.18 0.12 1/ 11206\n", 0, false},
		{"", 0, false},
	} {
		if got, ok := parseThreads(tt.text); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: got %d, %v; want %d, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

// What the system says here must be of some sense: we run, so we are within it.
func TestSystemLimits(t *testing.T) {
	limits := systemLimits(Demand{Workers: 1})
	for _, what := range []string{"open files", "threads on this machine"} {
		if !slices.ContainsFunc(limits, func(l limit) bool { return l.what == what }) {
			t.Errorf("nothing is said of %s", what)
		}
	}
	for _, l := range limits {
		if l.used > l.allowed || !strings.Contains(l.raise, "%d") {
			t.Errorf("%+v", l)
		}
	}
	if own := threadsOf(os.Getuid()); own < 2 {
		t.Errorf("this user has %d threads, and this test alone has more than one", own)
	}
}
