package portcheck

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/shirou/gopsutil/v3/common"
	psnet "github.com/shirou/gopsutil/v3/net"
	"github.com/shirou/gopsutil/v3/process"
)

// Owner is who holds a port.
type Owner struct {
	PID     int32  // 0: held, but by nobody who can be seen from here
	Command string // the command line; empty when it cannot be read
	User    string
	Address string // the local address that is held, as host:port
	// State of the socket as netstat(8) names it: LISTEN, or that of a connection
	// when nobody listens.
	State string
}

func (o Owner) String() string {
	switch {
	case o.PID == 0 && o.State == "TIME_WAIT":
		return "nobody any more: the kernel still keeps a closed connection (TIME_WAIT)"
	case o.PID == 0:
		return "a process that cannot be seen from here (another user's, or in another namespace)"
	}
	command := o.Command
	if command == "" {
		command = "unknown command"
	}
	if o.User != "" {
		command += ", user " + o.User
	}
	return fmt.Sprintf("PID %d (%s)", o.PID, command)
}

// Owners returns who stands in the way of binding host:port: listeners whose
// address collides with it or, if there are none, those whose connections have
// this local address. It returns nobody when the port is free, and also when a
// socket is bound but not listening, which no table of the kernel shows. Of
// several processes that share one socket, one is named.
//
// It reads the file descriptors of every process, which takes from
// milliseconds to seconds: call it to explain an error, not to find one.
func Owners(ctx context.Context, host string, port int) ([]Owner, error) {
	addrs, err := resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("cannot find who holds port %d: %w", port, unresolved(host, port, err))
	}
	ctx = ownProc(ctx)
	sockets, err := psnet.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return nil, fmt.Errorf("cannot find who holds port %d: %w", port, err)
	}
	var owners []Owner
	for _, s := range inTheWay(sockets, addrs, port) {
		owner := describe(ctx, s)
		if !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	return owners, nil
}

// ownProc makes gopsutil read /proc whatever HOST_PROC says: it may name that of
// others, whose PIDs mean nothing here.
func ownProc(ctx context.Context) context.Context {
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: "/proc"})
}

// inTheWay picks the sockets that collide with one of the addresses.
func inTheWay(sockets []psnet.ConnectionStat, addrs []netip.Addr, port int) []psnet.ConnectionStat {
	var listening, perhaps, connected []psnet.ConnectionStat
	for _, s := range sockets {
		held, ok := local(s)
		if !ok || int(s.Laddr.Port) != port {
			continue
		}
		match := never
		for _, addr := range addrs {
			match = max(match, compare(addr, held))
		}
		switch {
		case match == never:
		case s.Status != "LISTEN":
			connected = append(connected, s)
		case match == maybe:
			perhaps = append(perhaps, s)
		default:
			listening = append(listening, s)
		}
	}
	for _, found := range [][]psnet.ConnectionStat{listening, perhaps} {
		if len(found) > 0 {
			return found
		}
	}
	return connected
}

// local is the local address of a socket; lsof(8), which answers on darwin,
// writes wildcards as a star.
func local(s psnet.ConnectionStat) (netip.Addr, bool) {
	if s.Laddr.IP == "*" {
		if s.Family == syscall.AF_INET6 {
			return netip.IPv6Unspecified(), true
		}
		return netip.IPv4Unspecified(), true
	}
	addr, err := netip.ParseAddr(s.Laddr.IP)
	return addr.Unmap(), err == nil
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

// describe asks for the process. It may end meanwhile; its PID still says much.
func describe(ctx context.Context, s psnet.ConnectionStat) Owner {
	owner := Owner{
		PID: s.Pid, State: s.Status,
		Address: net.JoinHostPort(s.Laddr.IP, strconv.Itoa(int(s.Laddr.Port))),
	}
	if s.Pid == 0 {
		return owner
	}
	p := &process.Process{Pid: s.Pid}
	if args, err := p.CmdlineSliceWithContext(ctx); err == nil {
		owner.Command = printable(strings.Join(args, " "))
	}
	if name, err := p.UsernameWithContext(ctx); err == nil {
		owner.User = name
	}
	return owner
}

// printable replaces what would act on a terminal: anybody may name a process.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
