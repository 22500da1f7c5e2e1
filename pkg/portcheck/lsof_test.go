package portcheck

import (
	"net/netip"
	"syscall"
	"testing"

	psnet "github.com/shirou/gopsutil/v3/net"
)

func TestFromLsof(t *testing.T) {
	for _, tt := range []struct {
		ip     string
		family uint32
		want   string
	}{
		{"127.0.0.1", syscall.AF_INET, "127.0.0.1:5000"},
		{"*", syscall.AF_INET, "0.0.0.0:5000"},
		{"*", syscall.AF_INET6, "[::]:5000"},
		{"::ffff:127.0.0.1", syscall.AF_INET6, "127.0.0.1:5000"},
	} {
		got, ok := fromLsof(psnet.ConnectionStat{
			Family: tt.family, Pid: 7, Status: "LISTEN", Laddr: psnet.Addr{IP: tt.ip, Port: 5000},
		})
		if want := (socket{local: netip.MustParseAddrPort(tt.want), pid: 7, state: "LISTEN"}); !ok || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", tt.ip, got, ok, want)
		}
	}
	if got, ok := fromLsof(psnet.ConnectionStat{Laddr: psnet.Addr{IP: "no address"}}); ok {
		t.Errorf("got %+v", got)
	}
}
