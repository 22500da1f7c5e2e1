package pool

import (
	"context"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

// kernelPorts is the Ports that asks the kernel.
type kernelPorts struct{}

func (kernelPorts) Check(ctx context.Context, host string, port int) error {
	return portcheck.Check(ctx, host, port)
}

func (kernelPorts) WaitFree(ctx context.Context, host string, port int) error {
	return portcheck.WaitFree(ctx, host, port)
}

func (kernelPorts) Holder(ctx context.Context, host string, port int) string {
	owners, err := portcheck.Owners(ctx, host, port)
	if err != nil || len(owners) == 0 {
		return ""
	}
	return owners[0].String()
}

func (kernelPorts) Free(host string, n int) ([]int, error) {
	return portcheck.FreePorts(host, n)
}
