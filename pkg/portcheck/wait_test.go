package portcheck

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestWaitFreeAtOnce(t *testing.T) {
	port := freePort(t, "127.0.0.1")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no time at all is enough
		if err := WaitFree(ctx, "127.0.0.1", port); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it slept for %v", took)
		}
	})
}

func TestWaitFreeUntilTheHolderExits(t *testing.T) {
	_, port, stop := squat(t, "listen", "127.0.0.1", 0, nil)
	waited := make(chan error, 1)
	go func() { waited <- WaitFree(soon(t), "127.0.0.1", port) }()
	select {
	case err := <-waited:
		t.Fatalf("returned %v while the port was in use", err)
	case <-time.After(50 * time.Millisecond): // not for order: it gives a wrong answer time to show
	}
	stop()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// TestWaitFreeUntilTheSocketIsClosed: its holder lives on.
func TestWaitFreeUntilTheSocketIsClosed(t *testing.T) {
	l, port := listenOn(t, "tcp4", "127.0.0.1")
	time.AfterFunc(50*time.Millisecond, func() { _ = l.Close() })
	if err := WaitFree(soon(t), "127.0.0.1", port); err != nil {
		t.Error(err)
	}
}

func TestWaitFreeEndsWithContext(t *testing.T) {
	_, port := listenOn(t, "tcp4", "127.0.0.1")
	for host, after := range map[string]time.Duration{
		"127.0.0.1": 0,                     // before the holder is looked for
		"localhost": 30 * time.Millisecond, // and after that
	} {
		ignore := goleak.IgnoreCurrent()
		ctx, cancel := context.WithTimeout(context.Background(), after)
		err := WaitFree(ctx, host, port)
		cancel()
		if !errors.Is(err, ErrInUse) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		goleak.VerifyNone(t, ignore)
	}
}

func TestWaitFreeDoesNotWaitForTheImpossible(t *testing.T) {
	if err := WaitFree(context.Background(), "192.0.2.1", 5000); !errors.Is(err, ErrBadAddress) {
		t.Errorf("got %v", err)
	}
}

// TestWaitFreeLooksLate: the holder is not looked for while the port may come
// free by itself, and more and more rarely after that.
func TestWaitFreeLooksLate(t *testing.T) {
	_, port := listenOn(t, "tcp4", "127.0.0.1")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var looks []time.Duration
		w := waiting{first: time.Millisecond, longest: time.Hour, patience: 10 * time.Millisecond}
		w.holderEnds = func(context.Context, []netip.Addr, int) bool {
			looks = append(looks, time.Since(began))
			return len(looks) < 4
		}
		if err := w.until(ctx, "127.0.0.1", port); !errors.Is(err, ErrInUse) {
			t.Error(err)
		}
		want := []time.Duration{10, 30, 70, 150}
		for i, at := range looks {
			if len(looks) != len(want) || at != want[i]*time.Millisecond {
				t.Fatalf("looked at %v, want %v ms", looks, want)
			}
		}
	})
}

// TestWaitFreePauses: short at first, and again after an end.
func TestWaitFreePauses(t *testing.T) {
	l, port := listenOn(t, "tcp4", "127.0.0.1")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := waiting{first: 2 * time.Millisecond, longest: 100 * time.Millisecond, patience: time.Second}
		w.holderEnds = func(context.Context, []netip.Addr, int) bool {
			time.AfterFunc(time.Millisecond, func() { _ = l.Close() }) // a moment after the end
			return true
		}
		if err := w.until(t.Context(), "127.0.0.1", port); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Second+2*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}
