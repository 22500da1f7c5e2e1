package pool

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSockets(t *testing.T) {
	const tables = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0000000000000000 100 0 0 10 0
   1: 00000000:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1389 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0000000000000000 20 4 30 10 -1
   3: 0100007F:138A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 104 1 0000000000000000 100 0 0 10 0
   4: 00000000000000000000000000000000:1389 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 105 1 0 100 0 0 10 0
   5: 00000000000000000000000001000000:1389 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 106 1 0 100 0 0 10 0
   6: 0000000000000000FFFF00000100007F:1389 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 107 1 0 100 0 0 10 0
   7: 0100007F:1389 half a line
   8: 01007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 108 1 0 100 0 0 10 0
   9: XX00007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 109 1 0 100 0 0 10 0
`
	want := []socket{
		{netip.MustParseAddr("127.0.0.1"), "101"},
		{netip.MustParseAddr("0.0.0.0"), "102"},
		{netip.MustParseAddr("::"), "105"},
		{netip.MustParseAddr("::1"), "106"},
		{netip.MustParseAddr("127.0.0.1"), "107"},
	}
	got := parseSockets([]byte(tables), 5001)
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b socket) bool { return a == b })); diff != "" {
		t.Errorf("sockets (-want +got):\n%s", diff)
	}
}

func TestTakers(t *testing.T) {
	bound := func(address, inode string) socket { return socket{netip.MustParseAddr(address), inode} }
	for _, tt := range []struct {
		name, address string
		all           []socket
		want          []string
	}{
		{"the address before wildcards", "127.0.0.1", []socket{bound("0.0.0.0", "1"), bound("::", "2"), bound("127.0.0.1", "3")}, []string{"3"}},
		{"all that share it", "127.0.0.1", []socket{bound("127.0.0.1", "1"), bound("127.0.0.1", "2")}, []string{"1", "2"}},
		{"another address", "127.0.0.1", []socket{bound("127.0.0.2", "1"), bound("::1", "2")}, nil},
		{"the wildcard of its family", "127.0.0.1", []socket{bound("::", "1"), bound("0.0.0.0", "2")}, []string{"2"}},
		{"that of both", "127.0.0.1", []socket{bound("::", "1")}, []string{"1"}},
		{"IPv6 is not for IPv4's", "::1", []socket{bound("0.0.0.0", "1")}, nil},
		{"IPv6's own", "::1", []socket{bound("0.0.0.0", "1"), bound("::", "2")}, []string{"2"}},
	} {
		if diff := cmp.Diff(tt.want, takers(tt.all, netip.MustParseAddr(tt.address))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// The kernel's own tables, for each way to listen.
func TestListenersOfTheKernel(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("%s is no address of this machine: %v", address, err)
			continue
		}
		at, err := dial(soon(t), l.Addr().(*net.TCPAddr).IP.String(), portOf(l))
		if err != nil {
			t.Fatal(err)
		}
		sockets, err := listeners(at)
		if err != nil || len(sockets) != 1 {
			t.Errorf("%s: %d sockets listen at %s, %v", address, len(sockets), at, err)
		}
		if left := without(sockets, os.Getpid()); len(left) != 0 {
			t.Errorf("%s: this process does not hold %v", address, left)
		}
		if left := without(sockets, os.Getppid()); len(left) != len(sockets) {
			t.Errorf("%s: another process holds it", address)
		}
		_ = l.Close()
	}
}
