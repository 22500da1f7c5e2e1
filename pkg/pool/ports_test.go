package pool

import (
	"fmt"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// TestHolderNamesTheWorker: a worker's child has kept the port.
func TestHolderNamesTheWorker(t *testing.T) {
	t.Setenv(procscan.RunIDEnv, "r1")
	t.Setenv(procscan.WorkerIDEnv, "default-3")
	port := freePort(t)
	p := launch(t, "leave-child", port)
	pid := p.word(t, "child")
	await(t, p.Done())
	got := kernelPorts{}.Holder(soon(t), "127.0.0.1", port)
	if !strings.HasPrefix(got, fmt.Sprintf("PID %d (", pid)) || !strings.HasSuffix(got, ", of worker default-3 of run r1") {
		t.Errorf("got %q, want PID %d of the worker", got, pid)
	}
	if _, err := p.EndGroup(soon(t), 0); err != nil {
		t.Error(err)
	}
	if got := (kernelPorts{}).Holder(soon(t), "127.0.0.1", port); got != "" {
		t.Errorf("a free port is held by %q", got)
	}
}
