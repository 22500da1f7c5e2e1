package portcheck

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// byEvent waits without ever probing on its own account.
func byEvent() waiting {
	return waiting{first: time.Hour, longest: time.Hour, holderEnds: holderEnds}
}

// TestWaitFreeByEvent: the end of the holder is noticed with no probe between.
func TestWaitFreeByEvent(t *testing.T) {
	for name, leave := range map[string]bool{"listen": false, "listen with a child": true} {
		t.Run(name, func(t *testing.T) {
			holder, port, stop := squat(t, name, "127.0.0.1", 0, nil)
			ignore := goleak.IgnoreCurrent()
			before := descriptors(t)
			waited := make(chan error, 1)
			go func() { waited <- byEvent().until(soon(t), "127.0.0.1", port) }()
			awaitWatch(t)
			if leave {
				if err := holder.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_, _ = holder.Process.Wait() // the child has the socket now, and lives
				select {
				case err := <-waited:
					t.Fatalf("returned %v while the port was in use", err)
				case <-time.After(50 * time.Millisecond): // not for order: it gives a wrong answer time to show
				}
				awaitWatch(t)
			}
			stop()
			if err := <-waited; err != nil {
				t.Error(err)
			}
			goleak.VerifyNone(t, ignore)
			if after := descriptors(t); after > before {
				t.Errorf("%d descriptors were open, %d are", before, after)
			}
		})
	}
}

// awaitWatch returns once the holder is known, and its end waited for.
func awaitWatch(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for ctx := soon(t); !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "portcheck.processEnds("); {
		if ctx.Err() != nil {
			t.Fatal("nobody waits for the end of the holder")
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestWaitFreeByEventEndsWithContext(t *testing.T) {
	_, port, _ := squat(t, "listen", "127.0.0.1", 0, nil)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector would close what is left open
	ignore := goleak.IgnoreCurrent()
	before := descriptors(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := byEvent().until(ctx, "127.0.0.1", port); !errors.Is(err, ErrInUse) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	goleak.VerifyNone(t, ignore)
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors were open, %d are", before, after)
	}
}

func TestProcessEnds(t *testing.T) {
	holder, _, stop := start(t, "listen", "127.0.0.1", 0, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if processEnds(ctx, holder.Process.Pid) {
		t.Error("a process that lives has ended")
	}
	ended := make(chan bool, 1)
	go func() { ended <- processEnds(soon(t), holder.Process.Pid) }()
	stop()
	if !<-ended {
		t.Error("the end was not noticed")
	}
	if !processEnds(soon(t), holder.Process.Pid) {
		t.Error("a process that is gone has not ended")
	}
	if processEnds(soon(t), -1) {
		t.Error("what is no process has ended")
	}
}
