package procscan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// ErrUnmarked says that a process was not touched because it does not carry
// the marker of the run that it was to be ended with.
var ErrUnmarked = errors.New("it does not carry the marker of the run")

// ErrSurvived says that a process is still there after KILL, within the time
// given. Nothing but the kernel can help: see its state (D).
var ErrSurvived = errors.New("it is still there after KILL")

var errSelf = errors.New("it is the process that was asked to do it")

// Target is a process to be ended, and why.
type Target struct {
	ID    ID
	RunID string // the run whose condemning marker it must carry
	// TrustIdentity says that the identity alone is proof enough, because the
	// caller has it from whoever started the process. No marker is asked for.
	TrustIdentity bool
}

// EndOptions say how patient End is.
type EndOptions struct {
	// Grace is the time between TERM and KILL. With zero, KILL comes at once and
	// TERM not at all.
	Grace time.Duration
	// KillWait is how long the kernel may take after KILL; zero means 5 s.
	KillWait time.Duration
	// Thorough has EndAll look three times in a row before it believes that nobody
	// new is there, once it has met anybody.
	Thorough bool
}

// Ended says what became of a target.
type Ended struct {
	ID     ID
	Signal string // the last one sent: "TERM", "KILL", or "" for none
	Took   time.Duration
	// Err is why it was not ended, or not signalled; never ErrGone.
	Err   error
	Alive bool // it was not seen to be gone
}

// End sends TERM to every target, all at the same time, waits up to
// opts.Grace for each to be gone, sends KILL to what is left, and waits again.
// A stopped process is continued so that it can obey. The results are in the
// order of the targets.
//
// Each target is opened first; its identity and, unless it is trusted, its
// marker are checked afterwards, and every signal goes through the handle. The
// calling process is never signalled. When the context ends, End returns as
// soon as it can and sends no more signals: to cut the grace time short, end
// the context and call End again without one.
func End(ctx context.Context, targets []Target, opts EndOptions) []Ended {
	all := make([]Ended, len(targets))
	var wait sync.WaitGroup
	for i, t := range targets {
		wait.Go(func() { all[i] = endOne(ctx, t, opts) })
	}
	wait.Wait()
	return all
}

func endOne(ctx context.Context, t Target, opts EndOptions) Ended {
	began := time.Now()
	signal, err := t.end(ctx, opts)
	e := Ended{ID: t.ID, Signal: signal, Took: time.Since(began)}
	if err != nil && !errors.Is(err, ErrGone) {
		e.Alive = true
		e.Err = fmt.Errorf("cannot end process %d: %w", t.ID.PID, err)
	}
	return e
}

// end returns the last signal sent, and nil or ErrGone when the process has
// ended.
func (t Target) end(ctx context.Context, opts EndOptions) (sent string, err error) {
	if t.ID.PID == os.Getpid() {
		return "", errSelf
	}
	h, err := Open(t.ID)
	if err != nil {
		return "", err
	}
	defer h.Close()
	if err := t.confirm(ctx, h); err != nil {
		return "", err
	}
	for _, rung := range opts.ladder() {
		if err := ctx.Err(); err != nil {
			return sent, err
		}
		if err := h.Signal(rung.signal); err != nil {
			return sent, err
		}
		sent = rung.name
		if rung.signal == syscall.SIGTERM {
			// TERM waits for a stopped process to go on. Harmless to others.
			if err := h.Signal(syscall.SIGCONT); err != nil {
				return sent, err
			}
		}
		if gone, err := waitAtMost(ctx, h, rung.wait); gone || err != nil {
			return sent, err
		}
	}
	return sent, ErrSurvived
}

// confirm looks for the marker after the process was opened. A process that is
// not gone afterwards had its PID all the while, so what was read is its own.
func (t Target) confirm(ctx context.Context, h *Handle) error {
	if t.TrustIdentity {
		return nil
	}
	_, m, _, err := readMarker(ownProc(ctx), t.ID.PID, true)
	gone, goneErr := h.Gone()
	switch {
	case goneErr != nil:
		return goneErr
	case gone:
		return ErrGone
	case err != nil && !errors.Is(err, ErrGone):
		return err
	case m.Condemns && m.RunID == t.RunID:
		return nil
	}
	// A process on its way out loses its marker a little before it is gone.
	if st, err := readStat(t.ID.PID); err != nil || st.leaving {
		if gone, err := waitAtMost(ctx, h, time.Second); gone || err != nil {
			return errors.Join(err, goneIf(gone))
		}
	}
	return fmt.Errorf("%w %s", ErrUnmarked, t.RunID)
}

func goneIf(gone bool) error {
	if gone {
		return ErrGone
	}
	return nil
}

type rung struct {
	signal syscall.Signal
	name   string
	wait   time.Duration
}

func (o EndOptions) ladder() []rung {
	kill := rung{syscall.SIGKILL, "KILL", o.KillWait}
	if kill.wait <= 0 {
		kill.wait = 5 * time.Second
	}
	if o.Grace <= 0 {
		return []rung{kill}
	}
	return []rung{{syscall.SIGTERM, "TERM", o.Grace}, kill}
}

// waitAtMost says whether the process was gone in time; the error is anything
// but the end of that time.
func waitAtMost(ctx context.Context, h *Handle, limit time.Duration) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := h.Wait(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}
