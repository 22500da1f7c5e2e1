package portcheck

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// WaitFree returns nil once Check does: at once when the port is free. While
// it is in use, it probes again after a pause that grows from 2 ms to 100 ms:
// nothing in the kernel tells that a socket was closed. The end of a process is
// told, on Linux: if the port is still in use after 10 ms, its holder is looked
// for, and as soon as that has ended, the port is probed.
//
// At the end of the context the error is ErrInUse and that of the context; any
// other reason against the address ends the wait.
func WaitFree(ctx context.Context, host string, port int) error {
	w := waiting{first: 2 * time.Millisecond, longest: 100 * time.Millisecond, patience: 10 * time.Millisecond, holderEnds: holderEnds}
	return w.until(ctx, host, port)
}

// waiting is how a port is waited for.
type waiting struct {
	first, longest time.Duration // pauses between two probes
	// patience is how long nobody is looked for: most ports come free within a
	// millisecond, and the look costs more than many probes.
	patience time.Duration
	// holderEnds returns true when a process that had the port has ended; false
	// when there is none to wait for, or at the end of the context.
	holderEnds func(ctx context.Context, addrs []netip.Addr, port int) bool
}

func (w waiting) until(ctx context.Context, host string, port int) error {
	addrs, err := addresses(ctx, host, port)
	if err != nil {
		return err
	}
	err = checkAll(ctx, addrs, port)
	if !errors.Is(err, ErrInUse) {
		return err // as nearly always, and nothing else was begun
	}
	watching, cancel := context.WithCancel(ctx)
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		w.watch(watching, addrs, port, ended)
	}()
	defer func() {
		cancel()
		<-stopped
	}()
	for pause := w.first; errors.Is(err, ErrInUse); err = checkAll(ctx, addrs, port) {
		select {
		case <-ctx.Done():
			return &Error{Host: bare(host), Port: port, Kind: ErrInUse, Err: ctx.Err()}
		case <-time.After(pause):
			pause = min(pause*3/2, w.longest)
		case <-ended:
			pause = w.first
		}
	}
	return err
}

// watch tells of the end of one holder after the other: a child may have the
// same socket, or another process the same port. Each time it is more patient,
// so that it does not cost much where they take turns.
func (w waiting) watch(ctx context.Context, addrs []netip.Addr, port int, ended chan<- struct{}) {
	for patience := w.patience; ; patience *= 2 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(patience):
		}
		if !w.holderEnds(ctx, addrs, port) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case ended <- struct{}{}:
		}
	}
}
