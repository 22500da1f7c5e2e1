package orphans

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// TestOfAnotherUser: it is ended only by who may, and only where its run was
// named.
func TestOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
	run, root := newRun(), t.TempDir()
	theirs := elixir("sleep", run)
	theirs.uid = 65534
	f := orphan(t, theirs)
	whose := "it belongs to user " + UserName(65534)

	all := find(t, root, run, true).Processes
	if len(all) != 1 || all[0].Verdict != procscan.Foreign || !says(all[0], whose+": it is ended only where its run is named") {
		t.Errorf("%+v", all)
	}
	named, err := Find(t.Context(), Options{Runs: root, RunID: run, Theirs: true})
	if err != nil || len(named.Processes) != 1 || !slices.Contains(named.Processes[0].Evidence, whose) || !named.Processes[0].Condemned() {
		t.Fatalf("%+v, %v", named.Processes, err)
	}
	if result := Kill(t.Context(), named, patient.in(root)); len(result.Killed)+len(result.Failed) > 0 {
		t.Errorf("without being asked: %+v", result)
	}
	mustAlive(t, f.child, true)
	o := patient.in(root)
	o.Theirs = true
	if result := Kill(t.Context(), named, o); len(result.Killed) != 1 || result.Killed[0].PID != f.child.PID {
		t.Errorf("%+v", result)
	}
	mustAlive(t, f.child, false)
}

func TestTheirsError(t *testing.T) {
	err := error(&TheirsError{PID: 7, UID: 4294967})
	if err.Error() != "cannot end PID 7: it belongs to user 4294967" || !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	refused := procscan.Ended{ID: procscan.ID{PID: 7}, Err: fs.ErrPermission}
	k := &killer{seen: map[procscan.ID]procscan.Process{refused.ID: {ID: refused.ID, UID: os.Geteuid() + 1}}}
	var theirs *TheirsError
	if err := k.explain(refused); !errors.As(err, &theirs) || theirs.PID != 7 {
		t.Errorf("%v", err)
	}
	k.seen[refused.ID] = procscan.Process{ID: refused.ID, UID: os.Geteuid()}
	if err := k.explain(refused); !errors.Is(err, fs.ErrPermission) || errors.As(err, &theirs) {
		t.Errorf("of our own: %v", err)
	}
}
