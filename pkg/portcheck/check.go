package portcheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Check returns nil when host:port can be bound and listened on right now, and
// an *Error otherwise. The host is an address, with or without brackets, or a
// name, of which every address of this machine must be free.
//
// The probe sets SO_REUSEADDR and not SO_REUSEPORT, as a Python gRPC server
// does without grpc.so_reuseport: connections in TIME_WAIT do not count, and a
// port that others share among themselves is in use. What else collides, the
// kernel knows (ip(7), ipv6(7)): a wildcard with every address of its kind,
// [::] with those of IPv4 too. A probe listens for an instant and can get in
// the way of another who binds the same port in it.
func Check(ctx context.Context, host string, port int) error {
	addrs, err := addresses(ctx, host, port)
	if err != nil {
		return err
	}
	return checkAll(ctx, addrs, port)
}

// CheckHost returns nil when something of this machine can listen on the host, and
// an *Error otherwise.
func CheckHost(ctx context.Context, host string) error {
	addrs, err := resolve(ctx, host)
	if err != nil {
		return unresolved(host, 0, err)
	}
	var refused error
	for _, addr := range addrs {
		l, err := listen(ctx, addr, 0)
		if err == nil {
			return l.Close()
		}
		refused = err
	}
	return refused
}

// addresses returns at least one, or an *Error.
func addresses(ctx context.Context, host string, port int) ([]netip.Addr, error) {
	if port < 1 || port > 65535 {
		return nil, &Error{Host: bare(host), Port: port, Kind: ErrBadAddress, Err: errPort}
	}
	addrs, err := resolve(ctx, host)
	if err != nil {
		return nil, unresolved(host, port, err)
	}
	return addrs, nil
}

// checkAll wants the port on every address that is one of this machine, and
// one of them at least.
func checkAll(ctx context.Context, addrs []netip.Addr, port int) error {
	var notLocal error
	free := false
	for _, addr := range addrs {
		err := probe(ctx, addr, port)
		switch {
		case err == nil:
			free = true
		case errors.Is(err, ErrBadAddress):
			notLocal = err
		default:
			return err
		}
	}
	if free {
		return nil
	}
	return notLocal
}

// FreePorts returns n different ports that were free on the host, from the
// range that the kernel takes for such requests (ip_local_port_range). All are
// held until the last is chosen.
func FreePorts(host string, n int) ([]int, error) {
	ctx := context.Background() // only a name that takes long to resolve would need one
	addrs, err := resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("cannot find %d free ports: %w", n, unresolved(host, 0, err))
	}
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	ports := []int{}
	// A port that is taken on another address of the host stays held on the
	// first, so that the kernel does not offer it again.
	for tries := 0; len(ports) < n; tries++ {
		if tries >= n+100 {
			return nil, fmt.Errorf("cannot find %d free ports on %s: only %d are", n, bare(host), len(ports))
		}
		l, err := listen(ctx, addrs[0], 0)
		if err != nil {
			return nil, fmt.Errorf("cannot find %d free ports on %s: %w", n, bare(host), err)
		}
		held = append(held, l)
		port := l.Addr().(*net.TCPAddr).Port
		if err := checkAll(ctx, addrs[1:], port); err == nil || errors.Is(err, ErrBadAddress) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// CheckRange returns nil when the n ports from base on are ports.
func CheckRange(base, n int) error {
	switch {
	case base < 1 || base > 65535:
		return fmt.Errorf("cannot use port %d: %w", base, errPort)
	case n < 1:
		return fmt.Errorf("cannot use %d ports from %d on: at least one is needed", n, base)
	case n > 65535-base+1:
		return fmt.Errorf("cannot use %d ports from %d on: there are %d up to 65535", n, base, 65535-base+1)
	}
	return nil
}

// probe binds and listens on one address, and on those which the kernel does
// not compare with it by itself.
func probe(ctx context.Context, addr netip.Addr, port int) error {
	for i, a := range alike(addr) {
		l, err := listen(ctx, a, port)
		if err != nil {
			if i > 0 && errors.Is(err, ErrBadAddress) {
				continue // an address that the machine has lost, or a kind it has not
			}
			return err
		}
		_ = l.Close()
	}
	return nil
}

// listen listens exactly on the address. The network matters: for 0.0.0.0,
// "tcp" would listen on [::], and "tcp6" on [::] without IPv4.
func listen(ctx context.Context, addr netip.Addr, port int) (net.Listener, error) {
	network := "tcp"
	if addr.Is4() {
		network = "tcp4"
	}
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false) // plain TCP, as the server will use
	l, err := config.Listen(ctx, network, net.JoinHostPort(addr.String(), strconv.Itoa(port)))
	if err != nil {
		return nil, refused(addr.String(), port, err)
	}
	return l, nil
}

// resolve returns at least one address. One written as a number needs nobody
// to be asked.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	host = bare(host)
	if host == "" {
		return nil, errNoHost
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, addr := range found {
		if addr = addr.Unmap(); !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

func bare(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		return strings.TrimSuffix(inner, "]")
	}
	return host
}
