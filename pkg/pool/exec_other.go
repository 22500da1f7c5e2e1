//go:build !linux

package pool

import (
	"context"
	"syscall"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// guardAgainstParentDeath does nothing: only Linux has a parent-death signal.
// The lifeline and the guard do this work elsewhere.
func guardAgainstParentDeath(*syscall.SysProcAttr) {}

// awaitUnreaped returns when the child has ended, and leaves it for wait.
func awaitUnreaped(id procscan.ID) {
	handle, err := procscan.Open(id)
	if err != nil {
		return // it has ended
	}
	defer handle.Close()
	_ = handle.Wait(context.Background())
}

// ReapStrangers does nothing: without a subreaper, orphans go to PID 1.
func (l *ExecLauncher) ReapStrangers() {}
