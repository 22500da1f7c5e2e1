package portcheck

import "net/netip"

// alike returns the addresses to probe for one address. On Linux a listening
// socket collides with a wildcard and the other way round, SO_REUSEADDR or
// not, so that one bind tells all (socket(7)).
func alike(addr netip.Addr) []netip.Addr { return []netip.Addr{addr} }
