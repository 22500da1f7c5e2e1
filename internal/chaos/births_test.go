package chaos

import (
	"os/exec"
	"testing"
)

func TestBirths(t *testing.T) {
	for _, tt := range []struct {
		b    births
		pid  int
		want bool
	}{
		{births{100, 110}, 101, true},
		{births{100, 110}, 110, true},
		{births{100, 110}, 100, false}, // it was there at the look
		{births{100, 110}, 111, false}, // nobody has it yet
		{births{4_194_300, 310}, 4_194_302, true},
		{births{4_194_300, 310}, 305, true},
		{births{4_194_300, 310}, 311, false},
		{births{0, 110}, 50, false}, // no fault, or nobody says
		{births{100, 0}, 150, false},
	} {
		if got := tt.b.has(tt.pid); got != tt.want {
			t.Errorf("%+v has %d: %v", tt.b, tt.pid, got)
		}
	}
}

// A process that is forked after the last look may be named; one that was there
// already, and is not of the run, may not.
func TestBornBeforeTheFault(t *testing.T) {
	if newestPID() == 0 {
		t.Skip("the system does not say which process is the youngest")
	}
	before := brief(t)
	r := toldRun(t, endFile{})
	if _, err := r.processes(); err != nil {
		t.Fatal(err)
	}
	r.stage.fault("somebody is killed")
	after := brief(t)
	want := ending{how: "supervisor_died"}
	for pid, named := range map[int]bool{after: true, before: false} {
		wrong := r.wrongAbout(endFile{How: "supervisor_died", Found: []int{pid}, Killed: []int{pid}}, want, nil)
		if (len(wrong) == 0) != named {
			t.Errorf("PID %d, started %d and %d: %v", pid, before, after, wrong)
		}
	}
}

// brief is the PID of a process that is over.
func brief(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}
