package portcheck

import (
	"testing"
)

// Listeners sees who listens, also on every address, and nobody else.
func TestListeners(t *testing.T) {
	nobody := func(_, _ []string) (string, string) { return "", "" }
	for _, tt := range []struct {
		squatter, wanted string
		found            bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"0.0.0.0", "127.0.0.1", true},
		{"127.0.0.1", "0.0.0.0", true},
		{"127.0.0.1", "::", true},
		{"127.0.0.1", "127.0.0.2", false},
	} {
		squatter, port, stop := squat(t, "listen", tt.squatter, 0, nil)
		got, err := Listeners(soon(t), tt.wanted, port, nobody)
		if err != nil {
			t.Fatal(err)
		}
		if found := len(got) == 1 && int(got[0].PID) == squatter.Process.Pid; found != tt.found || !tt.found && len(got) > 0 {
			t.Errorf("%s against %s: %+v", tt.squatter, tt.wanted, got)
		}
		stop()
		if got, err := Listeners(soon(t), tt.wanted, port, nobody); err != nil || len(got) > 0 {
			t.Errorf("after its end: %+v, %v", got, err)
		}
	}
}
