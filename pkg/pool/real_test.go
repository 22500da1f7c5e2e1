package pool

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// dialling is a Client that finds a worker healthy when its port answers.
type dialling struct {
	fakeClient
	address string
}

func (d dialling) Healthy(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", d.address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// A whole life with real processes: started, one of them killed and replaced
// on its port, all stopped, nothing left.
func TestPoolOfRealProcesses(t *testing.T) {
	l, outputs := rig(t, "serve")
	go func() {
		for range outputs { // nobody reads what they print
			continue
		}
	}()
	t.Cleanup(func() { close(outputs) })
	seen := make(chan Event, 1000)
	p, err := New(Options{
		Workers: 3, Launcher: l, Observer: observeFunc(func(e Event) { seen <- e }),
		ReadyTimeout: time.Minute, ReleaseTimeout: time.Minute,
		Connect: func(host string, port int) (Client, error) {
			return dialling{address: fmt.Sprintf("%s:%d", host, port)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(StopOptions{Force: true})
	if err := p.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	before := p.Status()
	if err := syscall.Kill(before[1].Process.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for ready := false; !ready; {
		select {
		case e := <-seen:
			ready = e.Worker == "default-1" && e.Incarnation == 2 && e.To == Ready
		case <-soon(t).Done():
			t.Fatalf("no second incarnation is ready: %+v", p.Worker("default-1"))
		}
	}
	after := p.Status()
	for i := range after {
		if after[i].Port != before[i].Port || (after[i].Process == before[i].Process) != (i != 1) {
			t.Errorf("%s went from %+v to %+v", after[i].Worker, before[i], after[i])
		}
	}
	if after[1].LastExit != "SIGKILL" {
		t.Errorf("the last exit of default-1 was %s", after[1].LastExit)
	}
	for _, r := range p.Stop(StopOptions{Grace: time.Minute}) {
		if r.Exit != "exit 0" || r.Signal != "TERM" || len(r.Survivors) != 0 || r.Err != "" {
			t.Errorf("stop of %+v", r)
		}
	}
	mustBeGone(t, after)
}

func mustBeGone(t *testing.T, workers []Status) {
	t.Helper()
	for _, s := range workers {
		if _, err := procscan.Lookup(s.Process.PID); err == nil {
			t.Errorf("PID %d of %s is still there", s.Process.PID, s.Worker)
		}
		if err := portcheck.Check(t.Context(), s.Host, s.Port); err != nil {
			t.Errorf("the port of %s: %v", s.Worker, err)
		}
	}
}

type observeFunc func(Event)

func (f observeFunc) Observe(e Event) { f(e) }
