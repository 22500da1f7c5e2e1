package pool

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What a crashed process had left is told when that was ended, and is not what a
// stop of its successor reports.
func TestStopSpeaksOfTheLastProcess(t *testing.T) {
	ended := procscan.Ended{ID: procscan.ID{PID: 7}, Signal: "TERM"}
	behave := func(s Spec) behaviour {
		b := steady(s)
		if s.Incarnation == 1 {
			b.diesAfter, b.exit = time.Second, Exit{Code: 1}
			b.outlived = []procscan.Ended{
				{ID: procscan.ID{PID: 5}},
				ended,
				{ID: procscan.ID{PID: 6}, Signal: "KILL", Alive: true, Err: procscan.ErrSurvived},
			}
		} else {
			b.outlived = []procscan.Ended{ended}
		}
		return b
	}
	inBubble(t, behave, func(t *testing.T, w *world) {
		p := startPool(t, w.options(1))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		told := slices.ContainsFunc(w.events, func(e Event) bool {
			return e.To == Backoff && strings.Contains(e.Reason, "exit 1; what it had left was ended: PID 7; next try")
		})
		if !told {
			t.Errorf("no word of it in %+v", w.events)
		}
		r := p.Stop(StopOptions{})[0]
		want := StopResult{Worker: "default-0", PID: r.PID, Exit: "exit 0", Signal: "TERM", Took: r.Took, Outlived: []procscan.Ended{ended}}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
