package supervisor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// refuseLeftovers looks for processes of an earlier run with this id, by its
// marker and in its registry: they would be taken for ours.
func refuseLeftovers(ctx context.Context, runID string, registered []rundir.Entry) error {
	snapshot, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true})
	if err != nil {
		return fmt.Errorf("cannot look for leftovers of run %q: %w", runID, err)
	}
	left := map[int]bool{}
	for _, p := range snapshot.Run(runID) {
		left[p.PID] = true
	}
	for _, e := range registered {
		id := procscan.ID{PID: e.PID, Start: e.Start, Boot: e.Boot}
		if alive, err := id.Alive(); err == nil && alive {
			left[e.PID] = true
		}
	}
	if len(left) > 0 {
		return &LeftoversError{RunID: runID, PIDs: slices.Sorted(maps.Keys(left))}
	}
	return nil
}

// LeftoversError: an earlier run of the same id has left processes behind.
type LeftoversError struct {
	RunID string
	PIDs  []int
}

func (e *LeftoversError) Error() string {
	return fmt.Sprintf("cannot start run %q: an earlier run of this id has left processes: PID %v", e.RunID, e.PIDs)
}
