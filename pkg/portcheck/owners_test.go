package portcheck

import (
	"context"
	"errors"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOwnersNamesAnotherProcess(t *testing.T) {
	t.Setenv("HOST_PROC", t.TempDir()) // others' /proc is not looked at
	holder, port, _ := squat(t, "listen", "127.0.0.1", 0, nil)
	got, err := Owners(soon(t), "127.0.0.1", port)
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	want := Owner{
		PID: int32(holder.Process.Pid), Command: "holder 127.0.0.1 0", User: me.Username,
		Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), State: "LISTEN",
	}
	if got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}

// TestMarkedOwners: what a process shows of itself gets to the marker, and what
// that says to the owner.
func TestMarkedOwners(t *testing.T) {
	_, port, _ := squat(t, "listen", "127.0.0.1", 0, nil)
	var args, env []string
	got, err := MarkedOwners(soon(t), "127.0.0.1", port, func(a, e []string) (string, string) {
		args, env = a, e
		return "r1", "default-3\x1b"
	})
	if err != nil || len(got) != 1 || got[0].RunID != "r1" || got[0].Worker != "default-3?" {
		t.Errorf("%+v, %v", got, err)
	}
	if !slices.Equal(args, []string{"holder", "127.0.0.1", "0"}) || !slices.Contains(env, fixtureEnv+"=listen") {
		t.Errorf("arguments %q, environment %q", args, env)
	}
}

// TestOwnersOfOneSocket: a server is named, not its child: it would go on.
func TestOwnersOfOneSocket(t *testing.T) {
	parent, port, _ := squat(t, "listen with a child", "127.0.0.1", 0, nil)
	got, err := Owners(soon(t), "127.0.0.1", port)
	if err != nil || len(got) != 1 || int(got[0].PID) != parent.Process.Pid {
		t.Errorf("%+v, %v; want PID %d", got, err, parent.Process.Pid)
	}
}

// TestOwnersOfASharedPort: each of two sockets has an owner.
func TestOwnersOfASharedPort(t *testing.T) {
	one, port, stop := squat(t, "listen and share", "127.0.0.1", 0, nil)
	two, _, _ := squat(t, "listen and share", "127.0.0.1", port, nil)
	got, err := Owners(soon(t), "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, owner := range got {
		pids = append(pids, int(owner.PID))
	}
	want := []int{one.Process.Pid, two.Process.Pid}
	slices.Sort(pids)
	slices.Sort(want)
	if !slices.Equal(pids, want) {
		t.Errorf("got %v, want the PIDs %v", got, want)
	}
	stop()
	if err := Check(soon(t), "127.0.0.1", port); !errors.Is(err, ErrInUse) {
		t.Errorf("one of two has ended, but: %v", err)
	}
}

// TestOwnersOfSeveralSockets: one server can share a port with itself.
func TestOwnersOfSeveralSockets(t *testing.T) {
	port := 0
	for range 2 {
		l, err := sharing().Listen(soon(t), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port = l.Addr().(*net.TCPAddr).Port
	}
	got, err := Owners(soon(t), "127.0.0.1", port)
	if err != nil || len(got) != 1 || int(got[0].PID) != os.Getpid() {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUserName(t *testing.T) {
	for uid, want := range map[uint32]string{0: "root", 4242424242: "4242424242"} {
		if got := userName(uid); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestOwnersOfAFreePort(t *testing.T) {
	got, err := Owners(soon(t), "127.0.0.1", freePort(t, "127.0.0.1"))
	if err != nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestOwnersOfAConnection: a client's own port can be the one wanted.
func TestOwnersOfAConnection(t *testing.T) {
	l, _ := listenOn(t, "tcp4", aside)
	client, _ := connection(t, l)
	port := client.LocalAddr().(*net.TCPAddr).Port
	if err := Check(soon(t), aside, port); !errors.Is(err, ErrInUse) {
		t.Fatalf("the kernel gave away the port of a connection: %v", err)
	}
	got, err := Owners(soon(t), aside, port)
	if err != nil || len(got) != 1 || int(got[0].PID) != os.Getpid() || got[0].State != "ESTABLISHED" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOwnersOfAClosedConnection: the port of a server without SO_REUSEADDR
// stays taken for a minute, although nobody has it any more. As long as
// somebody has, only they are named.
func TestOwnersOfAClosedConnection(t *testing.T) {
	listenOn(t, "tcp4", aside) // skips on darwin
	config := with(unix.SO_REUSEADDR, 0)
	l, err := config.Listen(soon(t), "tcp4", net.JoinHostPort(aside, "0"))
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	client1, server1 := connection(t, l)
	client2, server2 := connection(t, l)
	_ = l.Close()

	hangUp(t, server1, client1)
	awaitTimeWait(t, port)
	got, err := Owners(soon(t), aside, port)
	if err != nil || len(got) != 1 || int(got[0].PID) != os.Getpid() {
		t.Errorf("%+v, %v", got, err)
	}

	hangUp(t, server2, client2)
	if err := Check(soon(t), aside, port); !errors.Is(err, ErrInUse) {
		t.Fatalf("the kernel gives the port away: %v", err)
	}
	got, err = Owners(soon(t), aside, port)
	if err != nil || len(got) != 1 || got[0].Unseen != Closed || got[0].User != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOwnersOfABadAddress(t *testing.T) {
	for host, port := range map[string]int{"": 80, "127.0.0.1": 65536, "localhost": 0} {
		if got, err := Owners(soon(t), host, port); !errors.Is(err, ErrBadAddress) {
			t.Errorf("%s:%d: %v, %v", host, port, got, err)
		}
	}
}

func TestOwnersWhenContextEnds(t *testing.T) {
	_, port := listenOn(t, "tcp4", "127.0.0.1")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := Owners(ctx, "127.0.0.1", port); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", got, err)
	}
}
