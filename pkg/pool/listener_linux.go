package pool

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// answering says who answers at an address: this worker and nobody else (ours), or
// a stranger, in words. Neither: somebody, but nobody sees who.
//
// It reads one or two tables and the worker's own descriptors; those of every
// process only when the leader does not hold all the sockets. The tables name each
// socket, where portcheck.Owners names one of those that share an address.
func (c *child) answering(ctx context.Context, at netip.AddrPort) (ours bool, stranger string, err error) {
	sockets, err := listeners(at)
	if err != nil || len(sockets) == 0 {
		return false, "", err
	}
	if sockets = without(sockets, c.id.PID); len(sockets) == 0 {
		return true, "", nil
	}
	seen, err := procscan.Scan(ctx, procscan.Options{Tree: true})
	if err != nil {
		return false, "", err
	}
	members := c.members(seen)
	for _, pid := range members {
		sockets = without(sockets, pid)
	}
	if len(sockets) == 0 {
		return true, "", nil
	}
	for _, p := range seen.Processes {
		if !slices.Contains(members, p.PID) && len(without(sockets, p.PID)) < len(sockets) {
			return false, describe(ctx, at, p.PID), nil
		}
	}
	return false, "", nil
}

// without returns the sockets, by inode, that a process does not hold. One that has
// ended, or must not be looked into, is not seen to hold any.
func without(sockets []string, pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return sockets
	}
	left := slices.Clone(sockets)
	for _, e := range entries {
		target, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			left = slices.DeleteFunc(left, func(s string) bool { return s+"]" == inode })
		}
	}
	return left
}

// describe names a process for a person.
func describe(ctx context.Context, at netip.AddrPort, pid int) string {
	owners, err := portcheck.Owners(ctx, at.Addr().String(), int(at.Port()))
	for _, o := range owners {
		if err == nil && int(o.PID) == pid {
			return o.String()
		}
	}
	return fmt.Sprintf("PID %d", pid)
}

// listeners returns the inodes of the sockets that take connections to an address.
func listeners(at netip.AddrPort) ([]string, error) {
	var all []socket
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a machine without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("cannot tell who listens on port %d: %w", at.Port(), err)
		}
		all = append(all, parseSockets(text, at.Port())...)
	}
	return takers(all, at.Addr().Unmap().WithZone("")), nil
}

// takers picks those that are bound to the address or, if there are none, to the
// wildcard of its family, or else, for IPv4, to [::], which takes IPv4 along (ip(7),
// ipv6(7)).
func takers(all []socket, address netip.Addr) []string {
	wildcard := netip.IPv4Unspecified()
	if address.Is6() {
		wildcard = netip.IPv6Unspecified()
	}
	for _, bound := range []netip.Addr{address, wildcard, netip.IPv6Unspecified()} {
		var inodes []string
		for _, s := range all {
			if s.address == bound {
				inodes = append(inodes, s.inode)
			}
		}
		if len(inodes) > 0 {
			return inodes
		}
	}
	return nil
}

// socket is one that listens.
type socket struct {
	address netip.Addr
	inode   string
}

// stateListen is TCP_LISTEN, as /proc/net/tcp writes it (proc_net_tcp in the
// kernel's documentation; net/tcp_states.h).
const stateListen = "0A"

// parseSockets picks out of /proc/net/tcp or tcp6 who listens on a port. Its columns
// are sl, local address, remote address, state, queues, timer, retransmits, user,
// timeout, inode. An address is in words of 32 bits, in the order of the machine.
func parseSockets(text []byte, port uint16) []socket {
	var found []socket
	for line := range bytes.Lines(text) {
		column := strings.Fields(string(line))
		if len(column) < 10 || column[3] != stateListen {
			continue
		}
		host, number, _ := strings.Cut(column[1], ":")
		if held, err := strconv.ParseUint(number, 16, 16); err != nil || uint16(held) != port {
			continue
		}
		raw, err := hex.DecodeString(host)
		if err != nil || len(raw)%4 != 0 {
			continue
		}
		for i := 0; i < len(raw); i += 4 {
			binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
		}
		if address, ok := netip.AddrFromSlice(raw); ok {
			found = append(found, socket{address.Unmap(), column[9]})
		}
	}
	return found
}
