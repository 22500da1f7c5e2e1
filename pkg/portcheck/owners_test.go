package portcheck

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	psnet "github.com/shirou/gopsutil/v3/net"
)

func TestOwnersNamesAnotherProcess(t *testing.T) {
	t.Setenv("HOST_PROC", t.TempDir()) // others' /proc is not looked at
	holder, said, _ := start(t, "listen", "0.0.0.0", 0, nil)
	port, err := strconv.Atoi(said)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Owners(soon(t), "127.0.0.1", port)
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("PID %d (holder 0.0.0.0 0, user %s)", holder.Process.Pid, me.Username)
	if got[0].String() != want || got[0].State != "LISTEN" {
		t.Errorf("got %v (%+v), want %s", got[0], got[0], want)
	}
}

func TestOwnersOfAnotherUser(t *testing.T) {
	credential := nobody(t)
	_, port := listenOn(t, "tcp4", "127.0.0.1")
	_, said, _ := start(t, "owners", "127.0.0.1", port, credential)
	want := "[a process that cannot be seen from here (another user's, or in another namespace)] <nil>"
	if said != want {
		t.Errorf("got %s, want %s", said, want)
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
	l, _ := listenOn(t, "tcp4", "127.0.0.1")
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	port := client.LocalAddr().(*net.TCPAddr).Port
	if err := Check(soon(t), "127.0.0.1", port); !errors.Is(err, ErrInUse) {
		t.Fatalf("the kernel gave away the port of a connection: %v", err)
	}
	got, err := Owners(soon(t), "127.0.0.1", port)
	if err != nil || len(got) != 1 || int(got[0].PID) != os.Getpid() || got[0].State != "ESTABLISHED" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOwnersOfABadAddress(t *testing.T) {
	if got, err := Owners(soon(t), "", 80); !errors.Is(err, ErrBadAddress) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestInTheWay(t *testing.T) {
	socket := func(pid int32, ip, status string) psnet.ConnectionStat {
		return psnet.ConnectionStat{Pid: pid, Status: status, Laddr: psnet.Addr{IP: ip, Port: 5000}}
	}
	other := socket(9, "127.0.0.1", "LISTEN")
	other.Laddr.Port = 5001
	star := socket(8, "*", "LISTEN") // as lsof writes it
	for name, tt := range map[string]struct {
		wanted  string
		sockets []psnet.ConnectionStat
		want    []int32
	}{
		"same":                     {"127.0.0.1", []psnet.ConnectionStat{socket(1, "127.0.0.1", "LISTEN"), other}, []int32{1}},
		"wildcard":                 {"127.0.0.1", []psnet.ConnectionStat{socket(1, "0.0.0.0", "LISTEN"), socket(2, "127.0.0.2", "LISTEN")}, []int32{1}},
		"star":                     {"127.0.0.1", []psnet.ConnectionStat{star}, []int32{8}},
		"wildcard wanted":          {"0.0.0.0", []psnet.ConnectionStat{socket(1, "127.0.0.1", "LISTEN"), socket(2, "::1", "LISTEN")}, []int32{1}},
		"dual stack":               {"127.0.0.1", []psnet.ConnectionStat{socket(1, "::", "LISTEN")}, []int32{1}},
		"dual stack, not it":       {"127.0.0.1", []psnet.ConnectionStat{socket(1, "::", "LISTEN"), socket(2, "127.0.0.1", "LISTEN")}, []int32{2}},
		"dual stack wanted":        {"::", []psnet.ConnectionStat{socket(1, "127.0.0.1", "LISTEN"), socket(2, "::1", "LISTEN")}, []int32{1, 2}},
		"IPv6":                     {"::1", []psnet.ConnectionStat{socket(1, "0.0.0.0", "LISTEN"), socket(2, "::", "LISTEN")}, []int32{2}},
		"mapped":                   {"127.0.0.1", []psnet.ConnectionStat{socket(1, "::ffff:127.0.0.1", "LISTEN")}, []int32{1}},
		"listener over connection": {"127.0.0.1", []psnet.ConnectionStat{socket(1, "127.0.0.1", "ESTABLISHED"), socket(2, "127.0.0.1", "LISTEN")}, []int32{2}},
		"connection":               {"127.0.0.1", []psnet.ConnectionStat{socket(0, "127.0.0.1", "TIME_WAIT")}, []int32{0}},
		"nobody":                   {"127.0.0.1", []psnet.ConnectionStat{socket(1, "10.0.0.1", "LISTEN"), other}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int32
			for _, s := range inTheWay(tt.sockets, []netip.Addr{netip.MustParseAddr(tt.wanted)}, 5000) {
				got = append(got, s.Pid)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOwnerString(t *testing.T) {
	for want, owner := range map[string]Owner{
		"PID 123 (python server.py, user root)": {PID: 123, Command: "python server.py", User: "root"},
		"PID 123 (python server.py)":            {PID: 123, Command: "python server.py"},
		"PID 123 (unknown command)":             {PID: 123},
		"a process that cannot be seen from here (another user's, or in another namespace)": {State: "LISTEN"},
		"nobody any more: the kernel still keeps a closed connection (TIME_WAIT)":           {State: "TIME_WAIT"},
	} {
		if got := owner.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := printable("a\x1b[31m\nb é"); got != "a?[31m?b é" {
		t.Errorf("got %q", got)
	}
}
