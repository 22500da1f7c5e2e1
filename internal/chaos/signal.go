package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// send signals a process of this identity, and nobody who has come to have its
// number: on Linux os.FindProcess holds the process by a pidfd, so what is looked
// at after that is what gets the signal.
func send(id ident, sig syscall.Signal) error {
	handle, err := os.FindProcess(id.pid)
	if err != nil {
		return errGone // it is not there
	}
	defer func() { _ = handle.Release() }() // it cannot fail for a process that was found
	if now, err := lookup(id.pid); err != nil || now.ident != id {
		return errGone
	}
	err = handle.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("cannot signal PID %d: %w", id.pid, err)
	}
	return nil
}

// tick is the pause between two looks at what no event tells.
const tick = 2 * time.Millisecond

// await asks until the answer is yes. False: the limit, or the end of the context,
// came first.
func await(ctx context.Context, limit time.Duration, yes func() bool) bool {
	deadline := time.Now().Add(limit)
	for {
		if yes() {
			return true
		}
		if time.Now().After(deadline) || !sleep(ctx, tick) {
			return false
		}
	}
}

// sleep returns false when the context ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
