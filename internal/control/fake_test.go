package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// fakeRun is a run whose pools are real, and whose workers are not.
type fakeRun struct {
	pools []*pool.Pool
	stop  func(StopOptions) StopSummary
}

func (r *fakeRun) Describe() Description {
	return Description{
		RunID: "demo", State: "running", Version: "1.2.3",
		Supervisor: procscan.ID{PID: 4711}, Guard: procscan.ID{PID: 4712},
	}
}

func (r *fakeRun) Pools() []*pool.Pool { return r.pools }

func (r *fakeRun) Stop(o StopOptions) StopSummary { return r.stop(o) }

// bench is a server on a Unix socket in this process, with a client.
type bench struct {
	run    *fakeRun
	server *Server
	socket string
	client *Client
	tools  *tools
}

// serve starts a server for the user uid, with pools of the given names and
// sizes. Everything ends with the test.
func serve(t *testing.T, uid int, sizes map[string]int) *bench {
	t.Helper()
	b := &bench{tools: &tools{ended: make(chan error, 10)}}
	b.run = &fakeRun{stop: func(StopOptions) StopSummary { return StopSummary{} }}
	for _, name := range []string{"default", "other"} {
		if size := sizes[name]; size > 0 {
			b.run.pools = append(b.run.pools, startPool(t, name, size, b.tools))
		}
	}
	dir, err := os.MkdirTemp("", "control") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b.socket = filepath.Join(dir, "s")
	listener, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	b.server = NewServer(b.run, uid)
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(listener) }()
	t.Cleanup(func() {
		b.server.Close(0)
		if err := <-served; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	if b.client, err = Dial(b.socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.client.Close() })
	return b
}

func startPool(t *testing.T, name string, size int, tools *tools) *pool.Pool {
	t.Helper()
	p, err := pool.New(pool.Options{
		Name: name, Workers: size, Launcher: launcher{},
		Connect: func(string, int) (pool.Client, error) { return tools, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(pool.StopOptions{Force: true}) })
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// tools is the pool.Client of every worker.
type tools struct{ ended chan error }

func (*tools) Healthy(context.Context) error { return nil }
func (*tools) AwaitIdle(context.Context)     {}
func (*tools) Close()                        {}

func (c *tools) Execute(ctx context.Context, call pool.Call, chunk func([]byte) error) ([]byte, error) {
	switch call.Tool {
	case "echo":
		return json.Marshal(call.Parameters)
	case "count":
		for _, text := range []string{"1", "2", "3"} {
			if err := chunk([]byte(text)); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case "boom":
		return nil, &pool.ToolError{Type: "ValueError", Message: "no", Traceback: "Traceback: line 1"}
	case "wait":
		if call.Stream {
			if err := chunk([]byte(`"begun"`)); err != nil {
				return nil, err
			}
		}
		<-ctx.Done()
		c.ended <- ctx.Err()
		return nil, ctx.Err()
	case "exhausted":
		return nil, status.Error(codes.ResourceExhausted, "received message larger than max")
	}
	return nil, errors.New("no such tool")
}

// launcher launches processes that are ready at once and end when signalled.
type launcher struct{}

func (launcher) Launch(_ context.Context, spec pool.Spec) (pool.Process, error) {
	return &process{spec: spec, done: make(chan struct{})}, nil
}

type process struct {
	spec pool.Spec
	once sync.Once
	done chan struct{}
}

// ID is that of the test itself: a process that is there.
func (p *process) ID() procscan.ID {
	id, err := procscan.Lookup(os.Getpid())
	if err != nil {
		return procscan.ID{PID: os.Getpid()}
	}
	return id
}

func (p *process) Readiness(context.Context) (pool.Readiness, error) {
	return pool.Readiness{Protocol: 1, Ready: true, PID: os.Getpid(), Port: p.spec.Port}, nil
}

func (p *process) Done() <-chan struct{}        { return p.done }
func (p *process) Exit() pool.Exit              { return pool.Exit{} }
func (p *process) Tail() []string               { return nil }
func (p *process) DumpStacks() error            { return nil }
func (p *process) StartedBy() pool.StartMethod  { return pool.Spawned }
func (*process) RSS() (uint64, error)           { return 0, nil }
func (*process) Connect() pool.Connect          { return nil }
func (*process) Awaited(context.Context) string { return "" }

func (p *process) SignalGroup(syscall.Signal) error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *process) EndGroup(context.Context, time.Duration) ([]procscan.Ended, error) {
	return nil, nil
}
