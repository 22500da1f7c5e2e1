//go:build !linux

package portcheck

import (
	"net"
	"net/netip"
)

// alike returns the addresses to probe for one address, itself first. On BSD
// and darwin SO_REUSEADDR lets a wildcard and a specific address listen on the
// same port, and the more specific one takes the connections. So a specific
// address is free only when the wildcards are too, and a wildcard only when
// every address of the machine is.
func alike(addr netip.Addr) []netip.Addr {
	if !addr.IsUnspecified() {
		addrs := []netip.Addr{addr, netip.IPv6Unspecified()}
		if addr.Is4() {
			addrs = append(addrs, netip.IPv4Unspecified())
		}
		return addrs
	}
	addrs := []netip.Addr{addr}
	local, err := net.InterfaceAddrs()
	if err != nil {
		return addrs
	}
	for _, l := range local {
		prefix, err := netip.ParsePrefix(l.String())
		if err != nil || prefix.Addr().IsLinkLocalUnicast() {
			continue // link-local addresses need a zone, which is not told
		}
		if a := prefix.Addr().Unmap(); addr.Is6() || a.Is4() {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
