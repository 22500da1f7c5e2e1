//go:build !linux

package portcheck

import (
	"context"

	psnet "github.com/shirou/gopsutil/v3/net"
)

// sockets returns those with this local port, and whose they are: gopsutil runs
// lsof(8), which shows the processes of others to root only.
func sockets(ctx context.Context, port int) ([]socket, error) {
	connections, err := psnet.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return nil, err
	}
	var found []socket
	for _, c := range connections {
		if s, ok := fromLsof(c); ok && int(s.local.Port()) == port {
			found = append(found, s)
		}
	}
	return found, nil
}

func identify(context.Context, []socket) error { return nil }
