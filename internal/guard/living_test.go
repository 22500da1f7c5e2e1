package guard

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// A free lock is no proof of death: somebody has removed its file, or put another
// one in its place. Nobody is harmed while the recorded supervisor lives.
func TestTheLockOfALivingRunIsLost(t *testing.T) {
	for name, again := range map[string]bool{"removed": false, "replaced": true} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			record := recordFor(start(t, "supervisor", looks{args: []string{"snakepit"}}).id, "")
			if err := h.dir.WriteRecord(record); err != nil {
				t.Fatal(err)
			}
			leader := worker(h.run)
			leader.leads = true
			workers := []*fixture{start(t, "worker", leader), start(t, "hidden worker", looks{args: []string{"sleep"}, leads: true})}
			h.register(t, workers[0].id, workers[1].id)
			h.watch(t)
			lock := filepath.Join(h.dir.Path(), "lock")
			if err := os.Remove(lock); err != nil {
				t.Fatal(err)
			}
			if again {
				if err := os.WriteFile(lock, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			h.die(t)
			h.awaitGuard(t)
			mustLive(t, workers)
			found, err := rundir.Open(h.runs, h.run)
			if err != nil || found.Record == nil || found.Record.State != rundir.StateRunning {
				t.Errorf("the run was changed: %+v, %v", found, err)
			}
			if _, err := os.Stat(h.dir.EventsPath()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there are events: %v", err)
			}
		})
	}
}

// A guard that does not know who has started it says why, and vouches for
// nothing. One whose supervisor has ended already knows enough.
func TestGuardThatDoesNotKnowItsSupervisor(t *testing.T) {
	h := newHouse(t)
	p := &process{runs: h.runs, runID: h.run, logger: slog.New(slog.DiscardHandler)}
	if err := p.meet(procscan.ID{}, procscan.ErrGone); err != nil {
		t.Errorf("its supervisor has ended: %v", err)
	}
	if err := p.meet(procscan.ID{}, fs.ErrPermission); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("nobody says that it may not look: %v", err)
	}
	_, err := p.confirm(context.Background())
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "cannot tell who started this guard") {
		t.Errorf("it confirms all the same: %v", err)
	}
}
