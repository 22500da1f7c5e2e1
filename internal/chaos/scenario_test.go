package chaos

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The suites have what was promised, and every scenario says what it is.
func TestScenarios(t *testing.T) {
	want := map[string][]string{
		"shutdown": {"normal_shutdown", "kill_during_shutdown", "port_not_releasing", "supervisor_crash"},
		"workers": {
			"crash_storm", "hung_worker", "ignores_term", "child_holds_port", "setsid_grandchild", "memory_limit",
			"start_fails_every_other_time", "slow_stop",
		},
		"guard": {
			"guard_killed", "guard_and_supervisor_killed", "supervisor_frozen_then_killed", "supervisor_killed_during_start",
			"disk_full", "read_only_state",
		},
		"neighbours": {"one_of_two_crashes", "equal_prefixes", "decoys"},
	}
	got := map[string][]string{}
	for _, s := range Scenarios() {
		got[s.Suite] = append(got[s.Suite], s.Name)
		if s.Assumes == "" || s.Fault == "" || len(s.steps) == 0 {
			t.Errorf("%s: it does not say what it assumes, or its fault, or has no steps", s.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
}

func TestSelect(t *testing.T) {
	for _, tt := range []struct {
		names   []string
		want    []string
		unknown string
	}{
		{[]string{"supervisor_crash"}, []string{"supervisor_crash"}, ""},
		{[]string{"supervisor_crash", "shutdown"}, []string{"supervisor_crash", "normal_shutdown", "kill_during_shutdown", "port_not_releasing"}, ""},
		{[]string{"neighbours", "decoys"}, []string{"one_of_two_crashes", "equal_prefixes", "decoys"}, ""},
		{[]string{"shutdown", "shutdwon"}, nil, "shutdwon"},
	} {
		chosen, unknown := Select(tt.names)
		var got []string
		for _, s := range chosen {
			got = append(got, s.Name)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || unknown != tt.unknown {
			t.Errorf("%q: unknown %q, want %q; (-want +got):\n%s", tt.names, unknown, tt.unknown, diff)
		}
	}
	if all, _ := Select([]string{"all", "shutdown"}); len(all) != len(Scenarios()) {
		t.Errorf("all are %d, there are %d", len(all), len(Scenarios()))
	}
}

// What cannot be tested with a pool says so.
func TestNeeds(t *testing.T) {
	fine := Options{Pool: Pool{Guard: "kill"}}
	for name, tt := range map[string]struct {
		pool     Pool
		scenario string
	}{
		"no guard":     {Pool{Guard: "off"}, "supervisor_crash"},
		"report":       {Pool{Guard: "report"}, "guard_killed"},
		"fixed ports":  {Pool{Guard: "kill", FixedPorts: true}, "one_of_two_crashes"},
		"no wait":      {Pool{Guard: "kill", LeavesResources: true}, "port_not_releasing"},
		"no health":    {Pool{Guard: "kill", NoHealth: true}, "hung_worker"},
		"no restarts":  {Pool{Guard: "kill", NoRestarts: true}, "hung_worker"},
		"without more": {Pool{Guard: "kill", NoPython: "there is none"}, "ignores_term"},
	} {
		chosen, _ := Select([]string{tt.scenario})
		s := chosen[0]
		if reason := s.needs(fine); reason != "" {
			t.Errorf("%s: %s does not run with a pool like any other: %s", name, s.Name, reason)
		}
		if s.needs(Options{Pool: tt.pool}) == "" {
			t.Errorf("%s: %s runs", name, s.Name)
		}
	}
}
