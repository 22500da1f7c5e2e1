package procscan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Handle is a hold on one process that cannot come to mean another when that
// process ends and its PID is given away: a pidfd (pidfd_open(2), Linux 5.3).
// It may be used from several goroutines.
type Handle struct {
	id   ID
	file *os.File // the pidfd, non-blocking, known to the runtime's poller
	conn syscall.RawConn

	watch   sync.Once
	watched chan struct{} // closed by the watching goroutine at its end
	err     error         // set before watched is closed
}

// Open takes hold of the process. The error is ErrGone when it has ended, even
// if its PID belongs to another process by now.
func Open(id ID) (*Handle, error) {
	if !possible(id.PID) {
		return nil, ErrGone
	}
	fd, err := unix.PidfdOpen(id.PID, 0) // always close-on-exec
	switch {
	case err == unix.ESRCH || err == unix.EINVAL || err == unix.ENOENT:
		return nil, ErrGone // the last two: only a thread has this number
	case err != nil:
		return nil, fmt.Errorf("cannot open process %d: %w", id.PID, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("cannot open process %d: %w", id.PID, err)
	}
	h := &Handle{id: id, file: os.NewFile(uintptr(fd), "pidfd"), watched: make(chan struct{})}
	if h.conn, err = h.file.SyscallConn(); err == nil {
		err = h.verify()
	}
	if err != nil {
		_ = h.file.Close()
		return nil, err
	}
	return h, nil
}

// verify runs after the opening: from here on, the number is ours to trust.
func (h *Handle) verify() error {
	now, err := Lookup(h.id.PID)
	if err != nil {
		return err
	}
	if now != h.id {
		return ErrGone
	}
	return nil
}

// ID is the identity of the process held.
func (h *Handle) ID() ID { return h.id }

// Signal sends a signal to this process and no other. The error is ErrGone
// when the process has ended, waited for or not; a refusal is fs.ErrPermission.
func (h *Handle) Signal(sig syscall.Signal) error {
	gone, err := h.Gone()
	if err != nil {
		return err
	}
	if gone {
		return ErrGone
	}
	var sent error
	err = h.conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if err == nil {
		err = sent
	}
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
	var gone bool
	var polled error
	err := h.conn.Control(func(fd uintptr) { gone, polled = ended(fd) })
	if err == nil {
		err = polled
	}
	if err != nil {
		return false, fmt.Errorf("cannot watch process %d: %w", h.id.PID, err)
	}
	return gone, nil
}

// Wait returns nil as soon as the process has ended, whether its parent has
// waited for it or not; it need not be a child of the caller. It costs a
// goroutine and no thread. Otherwise the error is that of the context.
func (h *Handle) Wait(ctx context.Context) error {
	h.watch.Do(func() { go h.await() })
	select {
	case <-h.watched:
	case <-ctx.Done():
		if gone, err := h.Gone(); err != nil || !gone {
			return fmt.Errorf("cannot wait for process %d: %w", h.id.PID, ctx.Err())
		}
		return nil
	}
	if h.err != nil {
		return fmt.Errorf("cannot wait for process %d: %w", h.id.PID, h.err)
	}
	return nil
}

// await ends with the process, or when the handle is closed.
func (h *Handle) await() {
	defer close(h.watched)
	var polled error
	err := h.conn.Read(func(fd uintptr) bool {
		var gone bool
		gone, polled = ended(fd)
		return gone || polled != nil
	})
	h.err = errors.Join(err, polled)
}

// Close lets go of the process. Who waits gets an error.
func (h *Handle) Close() error { return h.file.Close() }

// ended polls a pidfd: it is readable once every thread has ended.
func ended(fd uintptr) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err == unix.EINTR {
			continue
		}
		return n > 0, err
	}
}
