package pool

import (
	"context"
	"strings"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// kernelPorts is the Ports that asks the kernel.
type kernelPorts struct{}

func (kernelPorts) Check(ctx context.Context, host string, port int) error {
	return portcheck.Check(ctx, host, port)
}

func (kernelPorts) WaitFree(ctx context.Context, host string, port int) error {
	return portcheck.WaitFree(ctx, host, port)
}

// Holder names all: a port that is shared is free when the last of them ends.
func (kernelPorts) Holder(ctx context.Context, host string, port int) string {
	owners, err := portcheck.MarkedOwners(ctx, host, port, procscan.RunAndWorker)
	if err != nil {
		return "" // that it is held is said without it
	}
	var names []string
	for _, owner := range owners {
		names = append(names, owner.String())
	}
	return strings.Join(names, "; and by ")
}

func (kernelPorts) Free(host string, n int) ([]int, error) {
	return portcheck.FreePorts(host, n)
}
