package pool

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/pkg/pool/bridgepb"
)

// Tool is what a worker says of one of its tools.
type Tool struct {
	Name  string
	Usage string // as in Python: add(a: float, b: float)
}

// Tools asks the worker that serves on host:port for its tools, in the order of their
// names. The protocol tells them who opens a session: one is opened, under a name that
// nobody else has, and closed again. No tool runs, and no call is counted.
func Tools(ctx context.Context, host string, port int) ([]Tool, error) {
	b, err := newBridge(host, port)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	session := "tools-" + rand.Text()
	answer, err := b.api.InitializeSession(ctx, &bridgepb.InitializeSessionRequest{SessionId: session})
	if err != nil {
		return nil, fmt.Errorf("cannot ask for the tools: %w", err)
	}
	if _, err := b.api.CleanupSession(ctx, &bridgepb.CleanupSessionRequest{SessionId: session}); err != nil {
		return nil, fmt.Errorf("cannot close the session that asked for the tools: %w", err)
	}
	var tools []Tool
	for name, spec := range answer.AvailableTools {
		tools = append(tools, Tool{Name: name, Usage: spec.Metadata["usage"]})
	}
	slices.SortFunc(tools, func(a, b Tool) int { return strings.Compare(a.Name, b.Name) })
	return tools, nil
}
