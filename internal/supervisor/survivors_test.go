package supervisor

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/pkg/pool"
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
	got := s.survivors([]procscan.Process{
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
	if diff := cmp.Diff([]pool.Survivor{want}, s.survivors(nil)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.survivors(nil); len(got) > 0 {
		t.Errorf("the port is free: %v", got)
	}
}
