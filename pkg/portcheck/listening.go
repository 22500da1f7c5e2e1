package portcheck

import (
	"context"
	"slices"

	psnet "github.com/shirou/gopsutil/v3/net"
)

// Listening returns the TCP ports that each of these processes listens on, in
// ascending order. It looks at no other process, and costs about a millisecond
// for each. A process that has ended, or that cannot be looked into because it
// is another user's, has none.
func Listening(ctx context.Context, pids []int) map[int][]int {
	ctx = ownProc(ctx)
	ports := map[int][]int{}
	for _, pid := range pids {
		sockets, err := psnet.ConnectionsPidWithContext(ctx, "tcp", int32(pid))
		if err != nil {
			continue
		}
		for _, s := range sockets {
			if port := int(s.Laddr.Port); s.Status == "LISTEN" && !slices.Contains(ports[pid], port) {
				ports[pid] = append(ports[pid], port)
			}
		}
		slices.Sort(ports[pid])
	}
	return ports
}
