package procscan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Handle is a hold on one process. darwin has no descriptor for a process that
// signals could go through, so the identity is compared again before each
// signal; the instant between remains.
type Handle struct {
	id     ID
	closed atomic.Bool
}

// Open takes hold of the process. The error is ErrGone when it has ended, even
// if its PID belongs to another process by now.
func Open(id ID) (*Handle, error) {
	now, err := Lookup(id.PID)
	if err != nil {
		return nil, err
	}
	if now != id {
		return nil, ErrGone
	}
	return &Handle{id: id}, nil
}

// ID is the identity of the process held.
func (h *Handle) ID() ID { return h.id }

// Signal sends a signal to this process. The error is ErrGone when the process
// has ended, waited for or not; a refusal is fs.ErrPermission.
func (h *Handle) Signal(sig syscall.Signal) error {
	gone, err := h.Gone()
	if err != nil {
		return err
	}
	if gone {
		return ErrGone
	}
	err = unix.Kill(h.id.PID, sig)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	if err != nil {
		return fmt.Errorf("cannot send %s to process %d: %w", unix.SignalName(sig), h.id.PID, err)
	}
	return nil
}

// Gone says whether the process has ended, waited for or not.
func (h *Handle) Gone() (bool, error) {
	if h.closed.Load() {
		return false, fmt.Errorf("cannot watch process %d: %w", h.id.PID, os.ErrClosed)
	}
	alive, err := h.id.Alive()
	return !alive && err == nil, err
}

// pause is how often Wait looks. Polling, because kevent(2) would block one
// thread for each process waited for.
const pause = 5 * time.Millisecond

// Wait returns nil as soon as the process has ended, whether its parent has
// waited for it or not; it need not be a child of the caller. Otherwise the
// error is that of the context.
func (h *Handle) Wait(ctx context.Context) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		gone, err := h.Gone()
		if err != nil || gone {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for process %d: %w", h.id.PID, ctx.Err())
		case <-tick.C:
		}
	}
}

// Close lets go of the process. Who waits gets an error.
func (h *Handle) Close() error {
	h.closed.Store(true)
	return nil
}
