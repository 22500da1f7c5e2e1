package supervisor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/guard"
)

// A guard that dies is replaced at once, six lives in a minute; the next one
// waits until the first of these is a minute ago.
func TestGuardsAreReplaced(t *testing.T) {
	now := time.Unix(1000, 0)
	born := 0
	g := &guards{now: func() time.Time { return now }, start: func() (*guard.Guard, error) { born++; return &guard.Guard{}, nil }}
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
	g := &guards{now: time.Now, start: func() (*guard.Guard, error) { return nil, broken }}
	if wait, err := g.replace(); wait != guardWindow || !errors.Is(err, broken) {
		t.Errorf("wait %v, %v; want to try again in %v", wait, err, guardWindow)
	}
	if g.died() != nil || !g.id().IsZero() {
		t.Error("there is a guard")
	}
	if _, err := g.ask(); !errors.Is(err, broken) {
		t.Errorf("ask: %v, want what is wrong", err)
	}
	if _, wanted := g.bury(); wanted {
		t.Error("after the last look another guard is wanted")
	}
	if _, err := (&guards{}).ask(); !errors.Is(err, errNoGuard) {
		t.Errorf("without a guard: %v", err)
	}
}
