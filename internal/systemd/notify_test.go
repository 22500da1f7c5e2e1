package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// ask is the environment that a service manager makes.
func ask(t *testing.T, socket, usec, pid string) {
	t.Helper()
	t.Setenv(socketVariable, socket)
	t.Setenv(usecVariable, usec)
	t.Setenv(pidVariable, pid)
}

func TestTake(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		socket, usec, pid string
		asked             bool
		watchdog          time.Duration
	}{
		{"", "", "", false, 0},
		{"", "2000000", self, false, 0},
		{"/run/x", "", "", true, 0},
		{"@x", "2000000", self, true, 2 * time.Second},
		{"/run/x", "2000000", "", true, 2 * time.Second},
		{"/run/x", "2000000", "1", true, 0}, // another process is watched
		{"/run/x", "0", self, true, 0},
		{"/run/x", "-5", self, true, 0},
		{"/run/x", "soon", self, true, 0},
		{"/run/x", "9223372036854775807", self, true, 0},
		{"vsock:2:9999", "2000000", self, false, 0},
		{"run/x", "", "", false, 0},
	} {
		ask(t, tt.socket, tt.usec, tt.pid)
		m := Take()
		if (m != nil) != tt.asked || m.Watchdog() != tt.watchdog {
			t.Errorf("%q %q %q: asked %t, watchdog %v", tt.socket, tt.usec, tt.pid, m != nil, m.Watchdog())
		}
		for _, name := range []string{socketVariable, usecVariable, pidVariable} {
			if value, there := os.LookupEnv(name); there {
				t.Errorf("%s=%s is left for children", name, value)
			}
		}
	}
}

func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "s"), fmt.Sprintf("@snakepit-test-%d", os.Getpid())} {
		if name[0] == '@' && !abstractSockets {
			continue
		}
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		ask(t, name, "", "")
		if err := Take().Notify(Ready, Status("a\nb %d", 7), Extend(1500*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 1000)
		n, err := socket.Read(buffer)
		if want := "READY=1\nSTATUS=a b 7\nEXTEND_TIMEOUT_USEC=1500000"; string(buffer[:n]) != want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", name, buffer[:n], err, want)
		}
	}
}

// Nobody listens, or there is nobody at all.
func TestNotifyNobody(t *testing.T) {
	ask(t, filepath.Join(t.TempDir(), "gone"), "", "")
	if err := Take().Notify(Ready); err == nil {
		t.Error("no error")
	}
	if err := (*Manager)(nil).Notify(Ready); err != nil {
		t.Error(err)
	}
}
