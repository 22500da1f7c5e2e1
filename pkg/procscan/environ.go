package procscan

import (
	"context"
	"fmt"

	"github.com/shirou/gopsutil/v3/process"
)

// Environ is the environment that a process was started with, as NAME=VALUE. Another
// user's is fs.ErrPermission, except to root. The error is ErrGone when the process
// has ended, whoever has its number by now.
func Environ(ctx context.Context, id ID) ([]string, error) {
	if !possible(id.PID) {
		return nil, fmt.Errorf("cannot read the environment of process %d: %w", id.PID, ErrGone)
	}
	env, err := (&process.Process{Pid: int32(id.PID)}).EnvironWithContext(ownProc(ctx))
	if alive, failed := id.Alive(); failed == nil && !alive {
		err = ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the environment of process %d: %w", id.PID, err)
	}
	return env, nil
}
