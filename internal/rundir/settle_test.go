package rundir

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSettle(t *testing.T) {
	dir, err := os.MkdirTemp("", "pit") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, file := filepath.Join(dir, "s"), filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)

	run, err := Create(t.Context(), filepath.Join(dir, "runs"), "demo")
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	settle := func(by, path string, found, killed, survivors []int) Found {
		t.Helper()
		if registry, err := run.OpenRegistry(); err != nil || registry.Put(Entry{Worker: "a", PID: 7}) != nil || registry.Close() != nil {
			t.Fatal(err)
		}
		if now := look(run.Path()); now.Record == nil {
			if err := run.WriteRecord(Record{State: StateRunning, Socket: path}); err != nil {
				t.Fatal(err)
			}
		}
		if err := run.Settle(End{At: noon, By: by, Found: found, Killed: killed, Survivors: survivors}); err != nil {
			t.Fatal(err)
		}
		return look(run.Path())
	}

	got := settle("guard", socket, []int{7, 8}, []int{7}, []int{8})
	want := &End{At: noon, How: EndSupervisorDied, Reason: got.Record.End.Reason, Found: []int{7, 8}, Killed: []int{7}, Survivors: []int{8}}
	guard := Cleanup{By: "guard", Found: []int{7, 8}, Killed: []int{7}}
	want.Cleanups = []Cleanup{guard}
	if diff := cmp.Diff(want, got.Record.End); diff != "" || got.Settled() {
		t.Errorf("settled %v, -want +got:\n%s", got.Settled(), diff)
	}
	if _, err := os.Stat(registryPath(run.Path())); err != nil {
		t.Error("a survivor's registry is gone")
	}

	noon = noon.Add(time.Hour) // a second cleanup adds, and does not move the end
	got = settle("kill-orphans", socket, []int{8, 9}, []int{8, 9}, nil)
	want = &End{At: want.At, How: want.How, Reason: want.Reason, Found: []int{7, 8, 9}, Killed: []int{7, 8, 9}}
	want.Cleanups = []Cleanup{guard, {By: "kill-orphans", Found: []int{9}, Killed: []int{8, 9}}}
	if diff := cmp.Diff(want, got.Record.End); diff != "" || !got.Settled() {
		t.Errorf("settled %v, -want +got:\n%s", got.Settled(), diff)
	}
	if _, err := os.Stat(socket); err != nil {
		t.Error("a socket at which somebody answers was removed")
	}
	listener.Close()
	settle("start", socket, nil, nil, nil)
	if _, err := os.Stat(socket); err == nil {
		t.Error("the stale socket is there")
	}
	if err := removeStaleSocket(file); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("a file that is no socket was removed")
	}
}

// TestLivingSockets: only who refuses a connection is gone.
func TestLivingSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "pit") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for kind, bind := range map[string]func(path string) (end func() error){
		"of datagrams": func(path string) func() error {
			socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			return socket.Close
		},
		"busy": func(path string) func() error {
			end, err := listenBusy(path)
			if err != nil {
				t.Fatal(err)
			}
			return end
		},
	} {
		path := filepath.Join(dir, kind)
		end := bind(path)
		if err := removeStaleSocket(path); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the socket, %s, was removed", kind)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	}
}

// listenBusy listens, and lets nobody in: the kernel's queue is full.
func listenBusy(path string) (end func() error, err error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	first, err := net.Dial("unix", path)
	if err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return func() error { return errors.Join(first.Close(), syscall.Close(fd)) }, nil
}
