package portcheck

import (
	"net/netip"
	"syscall"

	psnet "github.com/shirou/gopsutil/v3/net"
)

// fromLsof is a socket as gopsutil reads it from lsof(8), which writes wildcards
// as a star and shows no socket without a process.
func fromLsof(c psnet.ConnectionStat) (socket, bool) {
	addr, err := netip.ParseAddr(c.Laddr.IP)
	switch {
	case c.Laddr.IP == "*" && c.Family == syscall.AF_INET6:
		addr = netip.IPv6Unspecified()
	case c.Laddr.IP == "*":
		addr = netip.IPv4Unspecified()
	case err != nil:
		return socket{}, false
	}
	s := socket{local: netip.AddrPortFrom(addr.Unmap(), uint16(c.Laddr.Port)), state: c.Status, pid: c.Pid}
	if c.Pid == 0 {
		s.unseen = Elsewhere
	}
	return s, true
}
