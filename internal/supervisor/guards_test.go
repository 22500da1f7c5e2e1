package supervisor

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/guard"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// A guard that dies is replaced at once, six lives in a minute; the next one
// waits until the first of these is a minute ago.
func TestGuardsAreReplaced(t *testing.T) {
	now := time.Unix(1000, 0)
	born := 0
	g := &guards{now: func() time.Time { return now }, start: func() (watcher, error) { born++; return &guard.Guard{}, nil }}
	for life := range guardRestarts + 1 {
		if wait, err := g.replace(); wait != 0 || err != nil || born != life+1 {
			t.Fatalf("life %d: wait %v, %v, %d born", life, wait, err, born)
		}
		if _, err := g.replace(); err != nil || born != life+1 {
			t.Fatalf("a second guard beside the first: %v, %d born", err, born)
		}
		g.bury()
		now = now.Add(time.Second)
	}
	wait, err := g.replace()
	if wait != 54*time.Second || err == nil || !strings.Contains(err.Error(), "it died 6 times within a minute") || born != 6 {
		t.Errorf("wait %v, %v, %d born; want a refusal for 54s", wait, err, born)
	}
	now = now.Add(wait)
	if wait, err := g.replace(); wait != 0 || err != nil || born != 7 {
		t.Errorf("a minute later: wait %v, %v, %d born", wait, err, born)
	}
}

func TestGuardThatDoesNotStart(t *testing.T) {
	broken := errors.New("no memory")
	g := &guards{now: time.Now, start: func() (watcher, error) { return nil, broken }}
	if wait, err := g.replace(); wait != guardWindow || !errors.Is(err, broken) {
		t.Errorf("wait %v, %v; want to try again in %v", wait, err, guardWindow)
	}
	if g.died() != nil || !g.id().IsZero() {
		t.Error("there is a guard")
	}
	if _, _, err := g.ask(); !errors.Is(err, broken) {
		t.Errorf("ask: %v, want what is wrong", err)
	}
	if _, wanted := g.bury(); wanted {
		t.Error("after the last look another guard is wanted")
	}
	if _, _, err := (&guards{}).ask(); !errors.Is(err, errNoGuard) {
		t.Errorf("without a guard: %v", err)
	}
}

// hung is a guard that says nothing: a process that was stopped.
type hung struct {
	id   procscan.ID
	done chan struct{}
}

func (h *hung) PID() int              { return h.id.PID }
func (h *hung) Done() <-chan struct{} { return h.done }
func (h *hung) Clean() (guard.Verdict, error) {
	return guard.Verdict{}, errors.New("it does not answer")
}

func (h *hung) ID() procscan.ID {
	select {
	case <-h.done:
		return procscan.ID{}
	default:
		return h.id
	}
}

func startHung(t *testing.T) *hung {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := procscan.Lookup(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	h := &hung{id, make(chan struct{})}
	go func() {
		defer close(h.done)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		if !h.ID().IsZero() {
			_ = cmd.Process.Kill()
		}
		<-h.done
	})
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hung) Settled() {}

// wellGuard answers, and ends when it may.
type wellGuard struct{ done chan struct{} }

func (w *wellGuard) ID() procscan.ID       { return procscan.ID{} }
func (w *wellGuard) PID() int              { return 7 }
func (w *wellGuard) Done() <-chan struct{} { return w.done }
func (w *wellGuard) Clean() (guard.Verdict, error) {
	return guard.Verdict{Killed: []int{9}}, nil
}
func (w *wellGuard) Settled() { close(w.done) }

// A guard that has answered stays until the end is written down; one that does not
// leave then is ended.
func TestGuardStaysUntilTheEnd(t *testing.T) {
	if err := (*guards)(nil).dismiss(); err != nil {
		t.Errorf("a run that had none: %v", err)
	}
	well := &wellGuard{make(chan struct{})}
	g := &guards{current: well, start: func() (watcher, error) { return nil, errors.New("none is wanted") }}
	if _, _, err := g.ask(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-well.done:
		t.Error("it has gone before the end was written down")
	default:
	}
	if err := g.dismiss(); err != nil {
		t.Error(err)
	}
	<-well.done

	clings := &clinging{startHung(t)}
	g = &guards{current: clings, start: g.start}
	if _, _, err := g.ask(); err != nil {
		t.Fatal(err)
	}
	if err := g.dismiss(); err != nil || !clings.ID().IsZero() {
		t.Errorf("PID %d outlives its work: %v", clings.PID(), err)
	}
}

// clinging is a guard that answers, and hangs after that.
type clinging struct{ *hung }

func (*clinging) Clean() (guard.Verdict, error) { return guard.Verdict{}, nil }

// A guard that does not answer is gone before another one looks.
func TestGuardThatHangs(t *testing.T) {
	first := startHung(t)
	g := &guards{current: first, start: func() (watcher, error) {
		if alive, err := first.id.Alive(); alive || err != nil {
			t.Errorf("the first guard lives beside the next: %v, %v", alive, err)
		}
		return &wellGuard{make(chan struct{})}, nil
	}}
	verdict, silent, err := g.ask()
	if err != nil || !slices.Equal(verdict.Killed, []int{9}) {
		t.Errorf("%+v, %v", verdict, err)
	}
	if err := g.dismiss(); err != nil || g.witness != nil {
		t.Errorf("the second guard stays: %v", err)
	}
	if len(silent) != 1 || silent[0] != (mute{first.id.PID, "did not answer, and was killed"}) {
		t.Errorf("said of it: %v", silent)
	}

	first = startHung(t)
	second := startHung(t)
	g = &guards{current: first, start: func() (watcher, error) { return second, nil }}
	if _, silent, err := g.ask(); err == nil || len(silent) != 2 {
		t.Errorf("both hang: %v, %v", silent, err)
	}
	for _, h := range []*hung{first, second} {
		if !h.ID().IsZero() {
			t.Errorf("PID %d outlives its work", h.id.PID)
		}
	}
}
