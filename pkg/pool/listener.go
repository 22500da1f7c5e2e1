package pool

import (
	"context"
	"slices"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Whose listener answers on a worker's port. A program that could not bind may
// live on, and another one answer in its place; with SO_REUSEPORT, which gRPC
// servers set, both may listen, and take turns.

// members are the processes of this worker: those in its session, which is its own
// as long as it lives, and its descendants.
func (c *child) members(seen procscan.Snapshot) []int {
	var pids []int
	for _, p := range seen.Processes {
		if p.SID == c.id.PID {
			pids = append(pids, p.PID)
		}
	}
	for _, p := range seen.Descendants(c.id.PID) {
		if !slices.Contains(pids, p.PID) {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// ports returns the ports on which the worker's processes listen.
func (c *child) ports(ctx context.Context) []int {
	seen, err := procscan.Scan(ctx, procscan.Options{Tree: true})
	if err != nil {
		return nil // what was seen is not all
	}
	var ports []int
	for _, held := range portcheck.Listening(ctx, c.members(seen)) {
		ports = append(ports, held...)
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}
