package portcheck

import "net/netip"

// inTheWay picks the sockets that collide with one of the addresses, all of
// one port.
func inTheWay(sockets []socket, addrs []netip.Addr) []socket {
	var listening, perhaps, connected []socket
	for _, s := range sockets {
		match := never
		for _, addr := range addrs {
			match = max(match, compare(addr, s.local.Addr()))
		}
		switch {
		case match == never:
		case s.state != "LISTEN":
			connected = append(connected, s)
		case match == maybe:
			perhaps = append(perhaps, s)
		default:
			listening = append(listening, s)
		}
	}
	for _, found := range [][]socket{listening, perhaps} {
		if len(found) > 0 {
			return found
		}
	}
	return connected
}

// collision says whether two addresses with the same port exclude each other.
type collision int

const (
	never collision = iota
	maybe           // [::] takes IPv4 along unless it was told not to, which no table shows
	always
)

func compare(wanted, held netip.Addr) collision {
	wanted, held = wanted.WithZone(""), held.WithZone("") // no table shows zones
	switch {
	case wanted == held:
		return always
	case wanted.Is4() == held.Is4():
		if wanted.IsUnspecified() || held.IsUnspecified() {
			return always
		}
	case wanted.Is6() && wanted.IsUnspecified():
		return always // our own [::] would take IPv4 along
	case held.Is6() && held.IsUnspecified():
		return maybe
	}
	return never
}
