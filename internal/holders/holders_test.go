package holders

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// bound holds a port without listening, as a server does in the moment before it
// listens. No table of the kernel shows it.
func bound(t *testing.T) (port int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return at.(*unix.SockaddrInet4).Port
}

// The port of a living run's worker is never bound to see whether it is free: what
// only binding tells is not known of it.
func TestPortsOfLivingRunsAreNotBound(t *testing.T) {
	port := bound(t)
	worker := Target{Host: "127.0.0.1", Port: port, RunID: "r", Worker: "default-0", State: "starting"}
	named := Target{Host: "127.0.0.1", Port: port}
	o := Options{Runs: t.TempDir(), Living: []Target{worker}}
	for _, target := range []Target{worker, named} { // who names the port of a worker means that one
		if got, _ := Look(t.Context(), o, []Target{target}); got[0].State != Free || got[0].Worker != "default-0" {
			t.Errorf("it was bound: %+v", got[0])
		}
	}
	wildcard := Target{Host: "0.0.0.0", Port: port}
	if got, _ := Look(t.Context(), o, []Target{wildcard}); got[0].State != Free {
		t.Errorf("it was bound on every address: %+v", got[0])
	}
	o.Living = nil
	if got, _ := Look(t.Context(), o, []Target{named}); got[0].State != Held || len(got[0].Holders) != 0 {
		t.Errorf("of nobody's port it is not found: %+v", got[0])
	}
}

func TestLook(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	target := Target{Host: "127.0.0.1", Port: port}
	o := Options{Runs: t.TempDir()}

	got, problems := Look(t.Context(), o, []Target{target})
	if h := got[0].Holders; got[0].State != Held || len(h) != 1 || int(h[0].PID) != os.Getpid() || h[0].Verdict != "" || h[0].Since.IsZero() {
		t.Errorf("a stranger's: %+v, %q", got, problems)
	}
	// A worker of a living run, on its own port and on another's.
	worker := Target{Host: "127.0.0.1", Port: port, RunID: "r", Worker: "default-0", State: "ready", PID: os.Getpid()}
	for _, known := range []Target{worker, {Host: "127.0.0.1", Port: 1, RunID: "r", Worker: "default-0", State: "ready", PID: os.Getpid()}} {
		o.Living = []Target{known}
		got, _ = Look(t.Context(), o, []Target{target})
		if h := got[0].Holders; got[0].State != Serving || h[0].RunID != "r" || h[0].Worker != "default-0" {
			t.Errorf("a worker's: %+v", got)
		}
	}
	if got, _ := Look(t.Context(), o, []Target{{Host: "192.0.2.7", Port: port}}); got[0].State != Unknown || got[0].Problem == "" {
		t.Errorf("an address of nobody: %+v", got)
	}
}
