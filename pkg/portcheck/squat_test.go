package portcheck

import (
	"errors"
	"strings"
	"testing"
)

// TestSquatters: another process takes the port between the stop of a worker
// and its start. It is noticed, it is named, and its end is.
func TestSquatters(t *testing.T) {
	for _, tt := range []struct {
		fixture, squatter, wanted string
		inUse                     bool
	}{
		{"listen", "127.0.0.1", "127.0.0.1", true},
		{"listen", "0.0.0.0", "127.0.0.1", true},
		{"listen", "::", "127.0.0.1", true},
		{"listen", "::", "0.0.0.0", true},
		{"listen", "::1", "::1", true},
		{"listen on IPv6", "::", "::1", true},
		{"listen on IPv6", "::", "::", true},
		{"listen on IPv6", "::", "127.0.0.1", false},
		{"listen and share", "127.0.0.1", "127.0.0.1", true},
		{"listen", "127.0.0.1", "localhost", true},
	} {
		t.Run(tt.fixture+" on "+tt.squatter+" against "+tt.wanted, func(t *testing.T) {
			if strings.Contains(tt.squatter, ":") {
				listenOn(t, "tcp6", "::1") // skips where there is no IPv6
			}
			squatter, port, stop := squat(t, tt.fixture, tt.squatter, 0, nil)
			meet(t, tt.wanted, port, squatter.Process.Pid, tt.inUse)
			if !tt.inUse {
				return
			}
			waited := make(chan error, 1)
			go func() { waited <- WaitFree(soon(t), tt.wanted, port) }()
			stop()
			if err := <-waited; err != nil {
				t.Error(err)
			}
		})
	}
}

// meet wants the port to be held by this process, or to be free.
func meet(t *testing.T, wanted string, port, pid int, inUse bool) {
	t.Helper()
	err := Check(soon(t), wanted, port)
	if inUse != errors.Is(err, ErrInUse) || inUse == (err == nil) {
		t.Errorf("got %v, want in use: %v", err, inUse)
	}
	got, err := Owners(soon(t), wanted, port)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case !inUse && len(got) > 0:
		t.Errorf("a free port has the owners %v", got)
	case inUse && (len(got) != 1 || int(got[0].PID) != pid || got[0].State != "LISTEN"):
		t.Errorf("got %+v, want PID %d", got, pid)
	}
}

// TestSquatterOfAnotherUser: root sees and names it.
func TestSquatterOfAnotherUser(t *testing.T) {
	squatter, port, stop := squat(t, "listen", "127.0.0.1", 0, nobody(t))
	meet(t, "127.0.0.1", port, squatter.Process.Pid, true)
	got, err := Owners(soon(t), "127.0.0.1", port)
	if err != nil || len(got) != 1 || got[0].User != userName(65534) {
		t.Errorf("%+v, %v", got, err)
	}
	stop()
	if err := WaitFree(soon(t), "127.0.0.1", port); err != nil {
		t.Error(err)
	}
}

// TestSquatterOfRoot: others may not look into it, and are told whose it is.
func TestSquatterOfRoot(t *testing.T) {
	other := nobody(t)
	_, port := listenOn(t, "tcp4", "127.0.0.1")
	_, said, _ := start(t, "owners", "127.0.0.1", port, other)
	want := "[another user's process, which may not be looked into from here (user root)] <nil>"
	if said != want {
		t.Errorf("got %s, want %s", said, want)
	}
}
