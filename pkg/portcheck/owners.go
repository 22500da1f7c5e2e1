package portcheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/process"
)

// Owner is who holds a port.
type Owner struct {
	PID    int32  // 0: held, but no process can be named; Unseen says why
	Unseen Unseen // empty when there is a PID
	// Command is the whole command line, made printable; empty when it cannot be
	// read.
	Command string
	// User is the name of the process's user, or the number of one without a
	// name. Where no process is to be seen it is the user who made the socket.
	User    string
	RunID   string // what a Marker said; empty without one
	Worker  string // the same
	Address string // the local address that is held, as host:port
	// State of the socket as netstat(8) names it: LISTEN, or that of a connection
	// when nobody listens.
	State string
}

// Unseen says why no process can be named for a socket.
type Unseen string

// The reasons there are.
const (
	// Denied: it is another user's, whose processes may not be looked into from
	// here.
	Denied Unseen = "denied"
	// Elsewhere: of all processes that may be looked into, none has it. It belongs
	// to one in another PID namespace, or its descriptor has been passed on
	// (SCM_RIGHTS, unix(7)) and not been taken yet, or it is the kernel's own.
	Elsewhere Unseen = "elsewhere"
	// Closed: nobody has it any more; the kernel sees a connection to its end.
	Closed Unseen = "closed"
)

// Marker reads from the arguments and the environment of a process which run
// and which worker of it the process belongs to. Either may be nil if it cannot
// be read, and empty strings say that it belongs to none.
type Marker func(args, env []string) (runID, worker string)

// Owners returns who stands in the way of binding host:port: listeners whose
// address collides with it or, if there are none, those whose connections have
// this local address. It returns nobody when the port is free, and also when a
// socket is bound but not listening, which no table of the kernel shows.
// Sockets that share a port (SO_REUSEPORT) are told apart; of several processes
// that have one socket, a parent is named before its children.
//
// It looks through the file descriptors of one process after another until the
// one is found, which takes from one to many milliseconds: call it to explain
// an error, not to find one.
func Owners(ctx context.Context, host string, port int) ([]Owner, error) {
	return MarkedOwners(ctx, host, port, func(_, _ []string) (string, string) { return "", "" })
}

// MarkedOwners returns the same, with the run and the worker of each.
func MarkedOwners(ctx context.Context, host string, port int, marker Marker) ([]Owner, error) {
	addrs, err := addresses(ctx, host, port)
	if err != nil {
		return nil, fmt.Errorf("cannot find who holds port %d: %w", port, err)
	}
	// A connection need not be in the way, nor [::] in that of IPv4: no table
	// tells, but the kernel does.
	if checkAll(ctx, addrs, port) == nil {
		return nil, nil
	}
	ctx = ownProc(ctx)
	found, err := holders(ctx, addrs, port)
	if err != nil {
		return nil, fmt.Errorf("cannot find who holds port %d: %w", port, err)
	}
	return describeAll(ctx, found, marker), nil
}

// Listeners returns who listens on an address that collides with host:port, by the
// kernel's tables alone. Unlike Check and Owners it never binds the port itself, and
// so gets in nobody's way: not in that of a worker that is about to bind. It cannot
// tell whether a listener on [::] takes IPv4 along, and takes it for one that does.
func Listeners(ctx context.Context, host string, port int, marker Marker) ([]Owner, error) {
	addrs, err := addresses(ctx, host, port)
	if err != nil {
		return nil, fmt.Errorf("cannot find who listens on port %d: %w", port, err)
	}
	ctx = ownProc(ctx)
	found, err := holders(ctx, addrs, port)
	if err != nil {
		return nil, fmt.Errorf("cannot find who listens on port %d: %w", port, err)
	}
	found = slices.DeleteFunc(found, func(s socket) bool { return s.state != "LISTEN" })
	return describeAll(ctx, found, marker), nil
}

// Blockers returns who holds host:port for somebody who wants to bind it. Where mayBind
// says that no harm is done by it, the kernel has the last word: it is asked whether the
// port can be bound, which is how a listener on [::] that leaves IPv4 alone is told from
// one that does not, and how a socket is found that is bound and does not listen. Held by
// nobody who can be named is ErrInUse; an address that cannot be bound is another *Error.
func Blockers(ctx context.Context, host string, port int, mayBind bool, marker Marker) ([]Owner, error) {
	owners, err := Listeners(ctx, host, port, marker)
	if err != nil || !mayBind {
		return owners, err
	}
	switch err := Check(ctx, host, port); {
	case err == nil:
		return nil, nil
	case len(owners) > 0: // known better than by the kernel's answer
		return owners, nil
	case !errors.Is(err, ErrInUse):
		return nil, err
	default:
		owners, _ = MarkedOwners(ctx, host, port, marker) // that it is held is said without them
		if len(owners) == 0 {
			return nil, err
		}
		return owners, nil
	}
}

func describeAll(ctx context.Context, found []socket, marker Marker) []Owner {
	var owners []Owner
	for _, s := range found {
		owner := describe(ctx, s, marker)
		if !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	return owners
}

// holders returns the sockets in the way, and whose they are. While a process
// is looked for it may end, or leave its socket to a child that was not there
// yet; so what nobody seems to have is looked for once more.
func holders(ctx context.Context, addrs []netip.Addr, port int) ([]socket, error) {
	var found []socket
	for range 2 {
		all, err := sockets(ctx, port)
		if err != nil {
			return nil, err
		}
		found = inTheWay(all, addrs)
		if err := identify(ctx, found); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(found, func(s socket) bool { return s.pid == 0 && s.unseen != Closed }) {
			break
		}
	}
	if slices.ContainsFunc(found, func(s socket) bool { return s.unseen != Closed }) {
		found = slices.DeleteFunc(found, func(s socket) bool { return s.unseen == Closed }) // they end by themselves
	}
	return found, nil
}

// socket is a TCP socket of this machine.
type socket struct {
	local  netip.AddrPort // never IPv4 in IPv6
	state  string
	uid    uint32 // of who made it, if that is known to the platform
	inode  uint64 // its number on Linux; 0 if no process has it any more
	pid    int32  // who has it; 0 if nobody was found
	unseen Unseen
}

// ownProc makes gopsutil read /proc whatever HOST_PROC says: it may name that of
// others, whose PIDs mean nothing here.
func ownProc(ctx context.Context) context.Context {
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: "/proc"})
}

// describe asks for the process. It may end meanwhile; its PID still says much.
func describe(ctx context.Context, s socket, marker Marker) Owner {
	owner := Owner{PID: s.pid, Unseen: s.unseen, Address: s.local.String(), State: s.state}
	if s.pid == 0 {
		if s.unseen != Closed {
			owner.User = userName(s.uid)
		}
		return owner
	}
	p := &process.Process{Pid: s.pid}
	args, err := p.CmdlineSliceWithContext(ctx)
	if err == nil {
		owner.Command = printable(strings.Join(args, " "))
	}
	if uids, err := p.UidsWithContext(ctx); err == nil && len(uids) > 0 {
		owner.User = userName(uint32(uids[0]))
	}
	env, _ := p.EnvironWithContext(ctx) // another user's is not shown, and tells nothing
	runID, worker := marker(args, env)
	owner.RunID, owner.Worker = printable(runID), printable(worker)
	return owner
}

// userName is the number for a user without a name, as containers have them.
func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if known, err := user.LookupId(number); err == nil {
		return known.Username
	}
	return number
}
