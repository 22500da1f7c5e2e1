//go:build !linux

package pool

import (
	"context"
	"net/netip"
	"slices"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// answering says who answers at an address: this worker and nobody else (ours), or
// a stranger, in words. Neither: somebody, but nobody sees who.
func (c *child) answering(ctx context.Context, at netip.AddrPort) (ours bool, stranger string, err error) {
	owners, err := portcheck.Owners(ctx, at.Addr().String(), int(at.Port()))
	if err != nil {
		return false, "", err
	}
	seen, err := procscan.Scan(ctx, procscan.Options{Tree: true})
	if err != nil {
		return false, "", err
	}
	members := c.members(seen)
	for _, o := range owners {
		_, known := seen.Find(int(o.PID))
		switch {
		case o.State != "LISTEN":
		case slices.Contains(members, int(o.PID)):
			ours = true
		case known:
			return false, o.String(), nil
		default:
			return false, "", nil
		}
	}
	return ours, "", nil
}
