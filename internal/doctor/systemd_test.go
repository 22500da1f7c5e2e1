package doctor

import (
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
)

func TestParseUnit(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       unit
		ours       bool
	}{
		{"defaults", "ExecStart=/usr/bin/snakepit start", unit{stop: 90 * time.Second}, true},
		{"ours, in two lines", "[Service]\nType=notify-reload\nExecStart=-/opt/snakepit \\\n  start --workers 8\nTimeoutSec=1min\nTimeoutStopSec = 5s", unit{notifies: true, stop: 5 * time.Second}, true},
		{"infinity", "ExecStart=env A=b snakepit start\nTimeoutStopSec=infinity", unit{}, true},
		{"nonsense", "ExecStart=snakepit start\nTimeoutStopSec=soon", unit{stop: 90 * time.Second}, true},
		{"a comment", "#ExecStart=snakepit start", unit{stop: 90 * time.Second}, false},
		{"another verb", "ExecStart=snakepit stop", unit{stop: 90 * time.Second}, false},
		{"another program", "ExecStart=/usr/bin/snakepits start", unit{stop: 90 * time.Second}, false},
	} {
		got, ours := parseUnit(tt.text)
		if got != tt.want || ours != tt.ours {
			t.Errorf("%s: %+v, %v", tt.name, got, ours)
		}
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "1min 30s": 90 * time.Second, "1min30": 90 * time.Second, "2h": 2 * time.Hour,
		"500ms": 500 * time.Millisecond, "0.5s": 500 * time.Millisecond, "infinity": 0, " 3 sec ": 3 * time.Second,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "5 parsecs", "-3s", "1e9d", "..", "99999999999999999999h"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParseUnit(f *testing.F) {
	f.Add("[Service]\nExecStart=snakepit start\nTimeoutStopSec=1min 30s\n")
	f.Fuzz(func(t *testing.T, text string) {
		if u, _ := parseUnit(text); u.stop < 0 {
			t.Errorf("%+v", u)
		}
	})
}

func TestJudgeUnit(t *testing.T) {
	c := config.Config{Grace: 5 * time.Second, ReleaseTimeout: 2 * time.Second}
	check(t, judgeUnit(unit{stop: 8 * time.Second}, c), OK, "TimeoutStopSec is 8s, and a stop takes up to 8s", "")
	check(t, judgeUnit(unit{stop: 7 * time.Second}, c), Fail, "is 7s, and a stop takes up to 8s", "TimeoutStopSec=16")
	check(t, judgeUnit(unit{stop: 7 * time.Second, notifies: true}, c), OK, "Type=notify", "")
	check(t, judgeUnit(unit{}, c), OK, "infinity", "")
}
