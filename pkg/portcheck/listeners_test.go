package portcheck

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBlockers: the kernel's tables show a listener on [::] that leaves IPv4 alone like
// one that takes it along. Where binding is allowed, it tells.
func TestBlockers(t *testing.T) {
	nobody := func(_, _ []string) (string, string) { return "", "" }
	for only, inTheWay := range []bool{true, false} {
		listening := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only) })
		}}
		l, err := listening.Listen(context.Background(), "tcp6", "[::]:0")
		if err != nil {
			t.Skip("no IPv6: ", err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if got, err := Blockers(soon(t), "127.0.0.1", port, true, nobody); err != nil || (len(got) == 1) != inTheWay {
			t.Errorf("V6ONLY %d: %+v, %v", only, got, err)
		}
		if got, err := Blockers(soon(t), "127.0.0.1", port, false, nobody); err != nil || len(got) != 1 {
			t.Errorf("V6ONLY %d, not to be bound: %+v, %v", only, got, err)
		}
		l.Close()
		if got, err := Blockers(soon(t), "127.0.0.1", port, true, nobody); err != nil || len(got) > 0 {
			t.Errorf("after its end: %+v, %v", got, err)
		}
	}
	if _, err := Blockers(soon(t), "192.0.2.7", 5000, true, nobody); !errors.Is(err, ErrBadAddress) {
		t.Errorf("an address of nobody: %v", err)
	}
}

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
