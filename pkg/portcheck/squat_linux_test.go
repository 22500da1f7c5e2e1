package portcheck

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// For one whose PID namespace is its own, and who has a /proc to match.
	fixtures["owners in a namespace"] = func(host string, port int) {
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			fail(err)
		}
		sayOwners(host, port)
	}
	fixtures["search"] = func(string, int) {
		denied, err := search(context.Background(), map[uint64]int32{math.MaxUint64: 0})
		fmt.Println("ready", denied, err)
	}
}

// TestSquatterInAnotherNetwork has the same port and is not in the way.
func TestSquatterInAnotherNetwork(t *testing.T) {
	_, port, _ := squat(t, "listen", "0.0.0.0", 0, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET})
	meet(t, "0.0.0.0", port, 0, false)
}

// TestSquatterInANamespaceBelow is to be seen, by the PID that it has here.
func TestSquatterInANamespaceBelow(t *testing.T) {
	squatter, port, _ := squat(t, "listen", "127.0.0.1", 0, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
	meet(t, "127.0.0.1", port, squatter.Process.Pid, true)
}

// TestSquatterInANamespaceAbove is not to be seen.
func TestSquatterInANamespaceAbove(t *testing.T) {
	_, port := listenOn(t, "tcp4", "127.0.0.1")
	_, said, _ := start(t, "owners in a namespace", "127.0.0.1", port, &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS,
	})
	want := "[nobody who is to be seen from here (user root): a process in another PID namespace," +
		" or a descriptor that was passed on and not taken yet] <nil>"
	if said != want {
		t.Errorf("got %s, want %s", said, want)
	}
}

// TestSocketThatNobodyHas is on its way from one process to another.
func TestSocketThatNobodyHas(t *testing.T) {
	l, port := listenOn(t, "tcp4", "127.0.0.1")
	passOn(t, l)
	if err := Check(soon(t), "127.0.0.1", port); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	got, err := Owners(soon(t), "127.0.0.1", port)
	if err != nil || len(got) != 1 || got[0].PID != 0 || got[0].Unseen != Elsewhere || got[0].User != userName(uint32(os.Getuid())) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestHolderThatEndsMeanwhile: who ended while he was looked for is not said to
// be elsewhere.
func TestHolderThatEndsMeanwhile(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	_, port, stop := squat(t, "listen", "127.0.0.1", 0, nil)
	got, err := holders(inSearch{soon(t), stop}, addrs, port)
	if err != nil || len(got) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	_, port, stop = squat(t, "listen", "127.0.0.1", 0, nil)
	if !holderEnds(inSearch{soon(t), stop}, addrs, port) {
		t.Error("the end was not noticed")
	}
}

// TestSearchIsDenied: it is known that not everything was looked into.
func TestSearchIsDenied(t *testing.T) {
	if _, said, _ := start(t, "search", "", 0, nobody(t)); said != "true <nil>" {
		t.Errorf("got %s", said)
	}
}

func TestWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		made   socket
		uid    int
		denied bool
		want   Unseen
	}{
		"no inode":                 {socket{uid: 1000}, 1000, true, Closed},
		"another user's":           {socket{uid: 0, inode: 1}, 1000, true, Denied},
		"another user's, hidden":   {socket{uid: 0, inode: 1}, 1000, false, Denied},
		"one's own":                {socket{uid: 1000, inode: 1}, 1000, true, Elsewhere},
		"root sees all":            {socket{uid: 1000, inode: 1}, 0, false, Elsewhere},
		"root in a container":      {socket{uid: 1000, inode: 1}, 0, true, Denied},
		"root's, from a container": {socket{uid: 0, inode: 1}, 0, true, Elsewhere},
	} {
		if got := why(tt.made, tt.uid, tt.denied); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

// inSearch is a context by which something happens between the look at the
// table and the look at the processes.
type inSearch struct {
	context.Context
	happens func()
}

func (c inSearch) Err() error {
	callers := make([]uintptr, 10)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for frame, more := frames.Next(); more; frame, more = frames.Next() {
		if strings.HasSuffix(frame.Function, "portcheck.search") {
			c.happens()
		}
	}
	return c.Context.Err()
}

// passOn sends the socket to a queue, and lets go of it.
func passOn(t *testing.T, l net.Listener) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(ends[0])
		_ = unix.Close(ends[1])
	})
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(ends[0], []byte("x"), unix.UnixRights(int(file.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	_ = l.Close()
}
