package portcheck

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInTheWay(t *testing.T) {
	at := func(pid int32, addr, state string) socket {
		return socket{pid: pid, state: state, local: netip.AddrPortFrom(netip.MustParseAddr(addr), 5000)}
	}
	for name, tt := range map[string]struct {
		wanted  string
		sockets []socket
		want    []int32
	}{
		"same":                     {"127.0.0.1", []socket{at(1, "127.0.0.1", "LISTEN")}, []int32{1}},
		"wildcard":                 {"127.0.0.1", []socket{at(1, "0.0.0.0", "LISTEN"), at(2, "127.0.0.2", "LISTEN")}, []int32{1}},
		"wildcard wanted":          {"0.0.0.0", []socket{at(1, "127.0.0.1", "LISTEN"), at(2, "::1", "LISTEN")}, []int32{1}},
		"dual stack":               {"127.0.0.1", []socket{at(1, "::", "LISTEN")}, []int32{1}},
		"dual stack, not it":       {"127.0.0.1", []socket{at(1, "::", "LISTEN"), at(2, "127.0.0.1", "LISTEN")}, []int32{2}},
		"dual stack wanted":        {"::", []socket{at(1, "127.0.0.1", "LISTEN"), at(2, "::1", "LISTEN")}, []int32{1, 2}},
		"IPv6":                     {"::1", []socket{at(1, "0.0.0.0", "LISTEN"), at(2, "::", "LISTEN")}, []int32{2}},
		"listener over connection": {"127.0.0.1", []socket{at(1, "127.0.0.1", "ESTABLISHED"), at(2, "127.0.0.1", "LISTEN")}, []int32{2}},
		"perhaps over connection":  {"127.0.0.1", []socket{at(1, "127.0.0.1", "ESTABLISHED"), at(2, "::", "LISTEN")}, []int32{2}},
		"connection":               {"127.0.0.1", []socket{at(1, "127.0.0.1", "TIME_WAIT")}, []int32{1}},
		"zone":                     {"fe80::1%eth0", []socket{at(1, "fe80::1", "LISTEN")}, []int32{1}},
		"nobody":                   {"127.0.0.1", []socket{at(1, "10.0.0.1", "LISTEN")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int32
			for _, s := range inTheWay(tt.sockets, []netip.Addr{netip.MustParseAddr(tt.wanted)}) {
				got = append(got, s.pid)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
