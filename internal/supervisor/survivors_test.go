package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What a pool has said of survivors is looked at again: who has ended is none,
// and who was found twice is one.
func TestSurvivorsAreThoseOfTheLastLook(t *testing.T) {
	_, ended := shell(t, "sh", "ends", "sh -c 'echo $$'; read x")
	for {
		if _, err := procscan.Lookup(ended); errors.Is(err, procscan.ErrGone) {
			break
		}
	}
	s := &supervisor{stopping: newStopping()}
	self := pool.Survivor{PID: os.Getpid(), What: "default-0: it is still there"}
	s.stopping.survivors = []pool.Survivor{{PID: ended, What: "default-1"}, self}
	got, _ := s.survivors([]procscan.Process{
		{ID: procscan.ID{PID: self.PID}, Args: []string{"x"}},
		{ID: procscan.ID{PID: 7}, Args: []string{"sleep", "600"}},
	})
	if diff := cmp.Diff([]pool.Survivor{self, {PID: 7, What: "sleep 600"}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

type noLauncher struct{}

func (noLauncher) Launch(context.Context, pool.Spec) (pool.Process, error) {
	return nil, errors.New("nothing is launched")
}

// A port that was held when its worker ended is a survivor as long as it is.
func TestPortsAreLookedAtAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p, err := pool.New(pool.Options{Name: "p", Workers: 1, BasePort: listener.Addr().(*net.TCPAddr).Port, Launcher: noLauncher{}})
	if err != nil {
		t.Fatal(err)
	}
	var taken *pool.PortTakenError
	if err := p.Start(t.Context()); !errors.As(err, &taken) {
		t.Fatalf("start: %v", err)
	}
	s := &supervisor{stopping: newStopping(), pools: []*pool.Pool{p}}
	want := pool.Survivor{What: "the port is held"}
	s.stopping.held["p-0"] = want
	got, _ := s.survivors(nil)
	if diff := cmp.Diff([]pool.Survivor{want}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.survivors(nil); len(got) > 0 {
		t.Errorf("the port is free: %v", got)
	}
}

// A port that a worker of another run has got is nobody's of this one; one with a holder
// who shows no other run may be.
func TestOfOtherRuns(t *testing.T) {
	other, own, nobody := portcheck.Owner{PID: 7, RunID: "b"}, portcheck.Owner{PID: 8, RunID: "a"}, portcheck.Owner{PID: 9}
	for name, tt := range map[string]struct {
		owners []portcheck.Owner
		want   bool
	}{
		"another run's":          {[]portcheck.Owner{other}, true},
		"ours":                   {[]portcheck.Owner{own}, false},
		"shared with ours":       {[]portcheck.Owner{other, own}, false},
		"of no run":              {[]portcheck.Owner{nobody}, false},
		"shared with a stranger": {[]portcheck.Owner{other, nobody}, false},
		"nobody can be named":    {nil, false},
	} {
		if got := ofOtherRuns(tt.owners, "a"); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A worker of another run has got the port of one that never had it: a note, and no
// survivor.
func TestPortOfAnotherRun(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("sleep", "600")
	holder.ExtraFiles = []*os.File{file}
	holder.Env = []string{procscan.RunIDEnv + "=t-other", procscan.WorkerIDEnv + "=default-7"}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer holder.Wait()
	defer holder.Process.Kill()
	port := listener.Addr().(*net.TCPAddr).Port
	if err := errors.Join(file.Close(), listener.Close()); err != nil { // now it is the holder's alone
		t.Fatal(err)
	}
	p, err := pool.New(pool.Options{Name: "p", Workers: 1, BasePort: port, Launcher: noLauncher{}})
	if err != nil {
		t.Fatal(err)
	}
	var taken *pool.PortTakenError
	if err := p.Start(t.Context()); !errors.As(err, &taken) {
		t.Fatalf("start: %v", err)
	}
	of := func(runID string) ([]pool.Survivor, []string) {
		s := &supervisor{stopping: newStopping(), pools: []*pool.Pool{p}}
		s.opts.Config.RunID = runID
		s.stopping.held["p-0"] = pool.Survivor{What: "the port is held"}
		return s.survivors(nil)
	}
	if all, notes := of("t-this"); len(all) != 0 || len(notes) != 1 || !strings.Contains(notes[0], fmt.Sprintf("PID %d", holder.Process.Pid)) {
		t.Errorf("survivors %v, notes %q; want a note that names PID %d", all, notes, holder.Process.Pid)
	}
	if all, notes := of("t-other"); len(all) != 1 || len(notes) != 0 {
		t.Errorf("it is the run's own: survivors %v, notes %q", all, notes)
	}
}
