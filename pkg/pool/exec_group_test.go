package pool

import (
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// The leader ignores TERM; its child, which does not, is reached all the same.
func TestSignalReachesTheGroup(t *testing.T) {
	p := launch(t, "family", 0)
	mustBeReady(t, p)
	member := hold(t, p.word(t, "child"))
	if err := p.SignalGroup(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := member.Wait(soon(t)); err != nil {
		t.Error(err)
	}
	select {
	case <-p.Done():
		t.Errorf("the leader ended by %s", p.Exit())
	default:
	}
}

// The leader is gone, a child holds the port: EndGroup ends it and says so.
func TestEndGroupEndsWhatIsLeft(t *testing.T) {
	for _, tt := range []struct {
		role   string
		grace  time.Duration
		signal string
	}{
		{"leave-child", time.Minute, "TERM"},
		{"leave-stubborn", 50 * time.Millisecond, "KILL"},
		{"leave-child", 0, "KILL"},
	} {
		t.Run(tt.role+" "+tt.signal, func(t *testing.T) {
			port := freePort(t)
			p := launch(t, tt.role, port)
			pid := p.word(t, "child")
			await(t, p.Done())
			if err := portcheck.Check(t.Context(), "127.0.0.1", port); err == nil {
				t.Error("nobody holds the port; the test tests nothing")
			}
			ended, err := p.EndGroup(soon(t), tt.grace)
			if err != nil || len(ended) != 1 {
				t.Fatalf("got %+v, %v; want PID %d", ended, err, pid)
			}
			if e := ended[0]; e.ID.PID != pid || e.Signal != tt.signal || e.Alive || e.Err != nil {
				t.Errorf("got %+v; want PID %d ended by %s", e, pid, tt.signal)
			}
			if err := portcheck.Check(t.Context(), "127.0.0.1", port); err != nil {
				t.Errorf("the port is not free: %v", err)
			}
			if again, err := p.EndGroup(soon(t), tt.grace); len(again) != 0 || err != nil {
				t.Errorf("a second look: %+v, %v", again, err)
			}
		})
	}
}

// One that has left the group and its session is not the group's business: it
// is found by its environment, by others.
func TestEndGroupLeavesOtherSessions(t *testing.T) {
	p := launch(t, "leave-session", 0)
	stranger := hold(t, p.word(t, "child"))
	t.Cleanup(func() {
		_ = stranger.Signal(syscall.SIGKILL)
		_ = stranger.Wait(soon(t))
	})
	await(t, p.Done())
	if ended, err := p.EndGroup(soon(t), 0); len(ended) != 0 || err != nil {
		t.Errorf("got %+v, %v", ended, err)
	}
	if gone, err := stranger.Gone(); gone || err != nil {
		t.Errorf("the process of another session is gone: %v, %v", gone, err)
	}
}

// What a child of the worker prints after the worker's end is not lost, and
// does not hold up the tail.
func TestTailDoesNotWaitForChildren(t *testing.T) {
	p := launch(t, "leave-child", 0)
	p.word(t, "child")
	await(t, p.Done())
	began := time.Now()
	if tail := p.Tail(); len(tail) != 1 {
		t.Errorf("tail %q", tail)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the tail took %v", took)
	}
	select {
	case <-p.output.closed:
		t.Error("its output was closed while a child can print")
	default:
	}
	if _, err := p.EndGroup(soon(t), 0); err != nil {
		t.Error(err)
	}
	await(t, p.output.closed)
}

func TestSurvivorsOf(t *testing.T) {
	got := survivorsOf([]procscan.Ended{
		{ID: procscan.ID{PID: 1}, Signal: "TERM"},
		{ID: procscan.ID{PID: 2}, Signal: "KILL", Alive: true, Err: procscan.ErrSurvived},
	}, "in the group of default-0")
	if len(got) != 1 || got[0].PID != 2 || got[0].What != "in the group of default-0: "+procscan.ErrSurvived.Error() {
		t.Errorf("got %+v", got)
	}
}
