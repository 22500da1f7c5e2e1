package portcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	psnet "github.com/shirou/gopsutil/v3/net"
)

func TestCheckFree(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "0.0.0.0", "::", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"} {
		t.Run(host, func(t *testing.T) {
			if strings.Contains(host, "::") {
				listenOn(t, "tcp6", "::1") // skips where there is no IPv6
			}
			port := freePort(t, host)
			for range 2 { // the probe itself leaves nothing behind
				if err := Check(soon(t), host, port); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestCheckCollisions: who listens where, and what that takes from others.
func TestCheckCollisions(t *testing.T) {
	for _, tt := range []struct {
		network, listener, probe string
		inUse                    bool
	}{
		{"tcp4", "127.0.0.1", "127.0.0.1", true},
		{"tcp4", "127.0.0.1", "0.0.0.0", true},
		{"tcp4", "127.0.0.1", "::", true},
		{"tcp4", "127.0.0.1", "localhost", true},
		{"tcp4", "127.0.0.1", "::ffff:127.0.0.1", true},
		{"tcp4", "127.0.0.1", "127.0.0.2", false},
		{"tcp4", "127.0.0.1", "::1", false},
		{"tcp4", "0.0.0.0", "127.0.0.1", true},
		{"tcp4", "0.0.0.0", "0.0.0.0", true},
		{"tcp4", "0.0.0.0", "::", true},
		{"tcp4", "0.0.0.0", "::1", false},
		{"tcp", "::", "127.0.0.1", true}, // [::] with IPv4
		{"tcp", "::", "0.0.0.0", true},
		{"tcp", "::", "::1", true},
		{"tcp", "::", "::", true},
		{"tcp6", "::", "127.0.0.1", false}, // [::] without IPv4
		{"tcp6", "::", "::1", true},
		{"tcp6", "::1", "::1", true},
		{"tcp6", "::1", "::", true},
		{"tcp6", "::1", "127.0.0.1", false},
		{"tcp6", "::1", "0.0.0.0", false},
	} {
		t.Run(tt.network+" "+tt.listener+" against "+tt.probe, func(t *testing.T) {
			if strings.Contains(tt.probe, ":") {
				listenOn(t, "tcp6", "::1") // skips where there is no IPv6
			}
			if tt.probe == "127.0.0.2" {
				listenOn(t, "tcp4", tt.probe) // darwin has only 127.0.0.1
			}
			_, port := listenOn(t, tt.network, tt.listener)
			err := Check(soon(t), tt.probe, port)
			if errors.Is(err, ErrInUse) != tt.inUse || (err == nil) == tt.inUse {
				t.Errorf("got %v, want in use: %v", err, tt.inUse)
			}
		})
	}
}

// TestCheckSharedPort: somebody who sets SO_REUSEPORT shares with others who
// do; a worker does not.
func TestCheckSharedPort(t *testing.T) {
	l, err := sharing().Listen(soon(t), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Check(soon(t), "127.0.0.1", l.Addr().(*net.TCPAddr).Port); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
}

func TestCheckTimeWait(t *testing.T) {
	l, port := listenOn(t, "tcp4", aside)
	client, server := connection(t, l)
	_ = l.Close()
	hangUp(t, server, client)
	awaitTimeWait(t, port)
	if err := Check(soon(t), aside, port); err != nil {
		t.Error(err)
	}
}

// aside is an address where no connections of other processes are, which can
// have the same port as long as they go elsewhere. Darwin does not have it.
const aside = "127.0.0.9"

func connection(t *testing.T, l net.Listener) (client, server net.Conn) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: l.Addr().(*net.TCPAddr).IP}}
	client, err := dialer.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return client, server
}

// hangUp closes both ends. Who closes first keeps the connection in TIME_WAIT.
func hangUp(t *testing.T, first, second net.Conn) {
	t.Helper()
	_ = first.Close()
	if _, err := second.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	_ = second.Close()
}

func awaitTimeWait(t *testing.T, port int) {
	t.Helper()
	for ctx := soon(t); !inTimeWait(t, port); {
		if ctx.Err() != nil {
			t.Fatal("no connection in TIME_WAIT")
		}
	}
}

func inTimeWait(t *testing.T, port int) bool {
	sockets, err := psnet.ConnectionsWithContext(soon(t), "tcp4")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		if int(s.Laddr.Port) == port && s.Status == "TIME_WAIT" {
			return true
		}
	}
	return false
}

func TestCheckPermission(t *testing.T) {
	limit, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		t.Skip("the ports below 1024 are special on Linux only")
	}
	if first, err := strconv.Atoi(strings.TrimSpace(string(limit))); err != nil || first <= 80 {
		t.Skipf("anybody may bind port 80 here: ip_unprivileged_port_start is %s", limit)
	}
	_, said, _ := start(t, "check", "127.0.0.1", 80, nobody(t))
	if want := "true cannot bind 127.0.0.1:80: permission denied"; said != want {
		t.Errorf("got %s, want %s", said, want)
	}
}

func TestCheckBadAddress(t *testing.T) {
	for name, tt := range map[string]struct {
		host string
		port int
		want string
	}{
		"of another machine": {"192.0.2.1", 5000, "cannot bind 192.0.2.1:5000: bad address (not an address of this machine)"},
		"IPv6 of another":    {"2001:db8::1", 5000, "cannot bind [2001:db8::1]:5000: bad address (not an address of this machine)"},
		"no host":            {"", 5000, "cannot bind :5000: bad address (no host given)"},
		"no name":            {"not a host", 5000, "cannot bind not a host:5000: bad address (lookup not a host"},
		"port 0":             {"127.0.0.1", 0, "cannot bind 127.0.0.1:0: bad address (a port is a number from 1 to 65535)"},
		"port too high":      {"[::1]", 65536, "cannot bind [::1]:65536: bad address (a port is a number from 1 to 65535)"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(soon(t), tt.host, tt.port)
			if !errors.Is(err, ErrBadAddress) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestErrorTellsKindAndCause(t *testing.T) {
	_, port := listenOn(t, "tcp4", "127.0.0.1")
	err := Check(soon(t), "127.0.0.1", port)
	var as *Error
	if !errors.As(err, &as) || as.Host != "127.0.0.1" || as.Port != port || as.Kind != ErrInUse {
		t.Errorf("%+v", err)
	}
	if !errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, ErrPermission) {
		t.Errorf("%v is not what the kernel said", err)
	}
	if want := "cannot bind 127.0.0.1:" + strconv.Itoa(port) + ": address already in use"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestRefusedOtherwise(t *testing.T) {
	err := refused("127.0.0.1", 80, &net.OpError{Op: "listen", Err: os.NewSyscallError("socket", syscall.EMFILE)})
	if err.Kind != nil || !errors.Is(err, syscall.EMFILE) || err.Error() != "cannot bind 127.0.0.1:80: too many open files" {
		t.Errorf("%+v", err)
	}
}

func TestCheckNameWhenContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Check(ctx, "name.invalid", 80)
	if errors.Is(err, ErrBadAddress) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v: a name that was not looked up is neither good nor bad", err)
	}
}

func TestFreePorts(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "0.0.0.0", "localhost"} {
		ports, err := FreePorts(host, 50)
		if err != nil || len(ports) != 50 {
			t.Fatalf("%d ports, %v", len(ports), err)
		}
		met := map[int]bool{}
		for _, port := range ports {
			if met[port] {
				t.Errorf("port %d twice", port)
			}
			met[port] = true
			if err := Check(soon(t), host, port); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestCheckAll: the addresses that a name can have.
func TestCheckAll(t *testing.T) {
	_, taken := listenOn(t, "tcp4", "127.0.0.1")
	free := freePort(t, "127.0.0.1")
	local, foreign := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	for name, tt := range map[string]struct {
		addrs []netip.Addr
		port  int
		want  error
	}{
		"one of them is local, free":   {[]netip.Addr{foreign, local}, free, nil},
		"one of them is local, in use": {[]netip.Addr{foreign, local}, taken, ErrInUse},
		"none is local":                {[]netip.Addr{foreign, foreign}, free, ErrBadAddress},
	} {
		if err := checkAll(soon(t), tt.addrs, tt.port); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func TestFreePortsRefuses(t *testing.T) {
	for _, host := range []string{"192.0.2.1", "not a host", ""} {
		if ports, err := FreePorts(host, 1); !errors.Is(err, ErrBadAddress) {
			t.Errorf("%q: %v, %v", host, ports, err)
		}
	}
	if ports, err := FreePorts("127.0.0.1", 0); err != nil || len(ports) != 0 {
		t.Errorf("none: %v, %v", ports, err)
	}
}

func TestCheckRange(t *testing.T) {
	const most = int(^uint(0) >> 1)
	for _, tt := range []struct {
		base, n int
		ok      bool
	}{
		{1, 65535, true},
		{65535, 1, true},
		{50000, 8, true},
		{1, 65536, false},
		{65535, 2, false},
		{65530, 7, false},
		{0, 1, false},
		{-1, 1, false},
		{65536, 1, false},
		{50000, 0, false},
		{50000, -1, false},
		{50000, most, false},
		{most, most, false},
	} {
		if err := CheckRange(tt.base, tt.n); (err == nil) != tt.ok {
			t.Errorf("CheckRange(%d, %d): %v", tt.base, tt.n, err)
		}
	}
}
