package orphans

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/rundir"
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

// TestDroppedPrivileges: whoever carries the run's key is of the run, whatever
// user it has become, and so is a registered worker with its marker. Root may end
// them without being told the run.
func TestDroppedPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
	for name, registered := range map[string]bool{"by the key": false, "by the registry": true} {
		t.Run(name, func(t *testing.T) {
			run, root := newRun(), t.TempDir()
			p, decoy := worker("sleep", run), worker("sleep", run)
			p.uid, decoy.uid = 65534, 65534
			key := "k"
			if registered {
				key = ""
			}
			p.env = append(p.env, procscan.RunKeyEnv+"="+key)
			f, other := orphan(t, p), orphan(t, decoy)
			dead := makeRun(t, root, run, f.host)
			if registered {
				_ = dead.Close()
				dead = makeRun(t, root, run, f.host, f.child)
			}
			record := rundir.Record{Key: key, State: rundir.StateRunning, Supervisor: rundir.Process{PID: f.host.PID, Start: f.host.Start, Boot: f.host.Boot}}
			if err := errors.Join(dead.WriteRecord(record), dead.Close()); err != nil {
				t.Fatal(err)
			}
			got := find(t, root, "", true)
			for _, x := range got.Processes {
				if x.Process.ID == f.child && (!x.Condemned() || !says(x, "it belongs to user ")) {
					t.Errorf("%s, %q", x.Verdict, x.Evidence)
				}
				if x.Process.ID == other.child && x.Verdict != procscan.Foreign {
					t.Errorf("the decoy: %s, %q", x.Verdict, x.Evidence)
				}
			}
			if result := mustKill(t, root, run, patient); len(result.Killed) != 1 {
				t.Errorf("%+v", result)
			}
			mustAlive(t, f.child, false)
			mustAlive(t, other.child, true)
		})
	}
}

// TestCannotLook: of a process of our own that forbids to be read nobody knows
// whose it is.
func TestCannotLook(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
	run, root := newRun(), t.TempDir()
	host := raise(t, process{mode: "sleep", args: []string{"sleep"}})
	deadRun(t, root, run, host.host)
	if err := errors.Join(os.Chmod(root, 0o755), os.Chown(filepath.Join(root, run), 65534, 65534), filepath.WalkDir(filepath.Join(root, run), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, 65534, 65534))
	})); err != nil {
		t.Fatal(err)
	}
	kill(t, host.host)
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f := raise(t, process{mode: "find", args: []string{"snakepit"}, env: []string{"ROOT=" + root, "RUN=" + run}, uid: 65534})
	want := fmt.Sprintf("could_not_look_at_PID_%d:_it_is_yours", f.child.PID)
	if !strings.HasPrefix(f.found, "0|<nil>|") || !strings.Contains(f.found, want) {
		t.Errorf("%q, want %q", f.found, want)
	}
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
