package control

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// soon is the time within which anything happens that works at all.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestStatus(t *testing.T) {
	b := serve(t, os.Getuid(), map[string]int{"default": 2, "other": 1})
	got, err := b.client.Status(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	worker := func(id string) *controlpb.Worker {
		return &controlpb.Worker{Id: id, State: "ready", Pid: int32(os.Getpid()), Host: "127.0.0.1", Incarnation: 1, StartMethod: "spawn", Calls: &controlpb.Calls{}}
	}
	want := &controlpb.StatusResponse{
		RunId: "demo", State: "running", Version: "1.2.3",
		Supervisor: &controlpb.Process{Pid: 4711}, Guard: &controlpb.Process{Pid: 4712},
		Pools: []*controlpb.Pool{
			{Name: "default", Desired: 2, Ready: 2, Workers: []*controlpb.Worker{worker("default-0"), worker("default-1")}},
			{Name: "other", Desired: 1, Ready: 1, Workers: []*controlpb.Worker{worker("other-0")}},
		},
	}
	live := protocmp.IgnoreFields(&controlpb.Worker{}, "port", "started_at", "rss_bytes", "cpu_seconds", "health")
	if diff := cmp.Diff(want, got, protocmp.Transform(), live); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, w := range append(got.Pools[0].Workers, got.Pools[1].Workers...) {
		if w.Port == 0 || w.RssBytes == 0 || time.Since(w.StartedAt.AsTime()) > time.Hour {
			t.Errorf("%s has port %d, %d bytes, and was started at %v", w.Id, w.Port, w.RssBytes, w.StartedAt.AsTime())
		}
		if w.Health.GetTook().AsDuration() <= 0 || w.Health.GetAt().AsTime().Before(w.StartedAt.AsTime()) {
			t.Errorf("%s: health %v, want the answer that made it ready", w.Id, w.Health)
		}
	}
}

func TestCall(t *testing.T) {
	b := serve(t, os.Getuid(), map[string]int{"default": 2, "other": 1})
	var chunks []string
	collect := func(json []byte) error { chunks = append(chunks, string(json)); return nil }
	empty := json.RawMessage("{}")
	for _, tt := range []struct {
		name   string
		call   Call
		result string
		chunks []string
		is     error
		text   string // of the error
	}{
		{name: "result", call: Call{Tool: "echo", Pool: "default", Parameters: json.RawMessage(`{"a":[1]}`)}, result: `{"a":[1]}`},
		{name: "chunks", call: Call{Tool: "count", Pool: "default", Parameters: empty, Stream: true}, chunks: []string{"1", "2", "3"}},
		{name: "a pool", call: Call{Tool: "echo", Pool: "other", Parameters: empty}, result: `{}`},
		{name: "a worker", call: Call{Tool: "echo", Worker: "other-0", Parameters: empty}, result: `{}`},
		{name: "no pool said", call: Call{Tool: "echo", Parameters: empty}, is: ErrWhichPool, text: "which pool is not said: the run has default, other"},
		{name: "no such pool", call: Call{Pool: "none"}, is: pool.ErrNoWorker, text: `no such worker: no pool "none"; the run has default, other`},
		{name: "no such worker", call: Call{Worker: "other-9"}, is: pool.ErrNoWorker, text: `no such worker: no worker "other-9" in the pools default, other`},
		{name: "worker of another pool", call: Call{Pool: "other", Worker: "default-0", Parameters: empty}, is: pool.ErrNoWorker, text: `no such worker: "default-0"; pool "other" has other-0`},
		{name: "no JSON", call: Call{Tool: "echo", Pool: "default", Parameters: json.RawMessage("{")}, text: "the supervisor answers: cannot use the parameters: unexpected end of JSON input"},
		{name: "another error", call: Call{Tool: "?", Pool: "default", Parameters: empty}, text: "the supervisor answers: no such tool"},
		{name: "a worker's own code", call: Call{Tool: "exhausted", Pool: "default", Parameters: empty}, text: "the supervisor answers: received message larger than max"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chunks = nil
			result, err := b.client.Call(soon(t), tt.call, collect)
			switch {
			case tt.text == "" && err != nil:
				t.Fatal(err)
			case tt.text != "" && (err == nil || err.Error() != tt.text || !errors.Is(err, tt.is) && tt.is != nil):
				t.Errorf("got %v, want %q, which is %v", err, tt.text, tt.is)
			}
			if string(result) != tt.result || !slices.Equal(chunks, tt.chunks) {
				t.Errorf("got %s with chunks %v, want %s with %v", result, chunks, tt.result, tt.chunks)
			}
		})
	}
}

func TestToolErrorKeepsItsTraceback(t *testing.T) {
	b := serve(t, os.Getuid(), map[string]int{"default": 1})
	_, err := b.client.Call(soon(t), Call{Tool: "boom", Parameters: json.RawMessage("{}")}, nil)
	var got *pool.ToolError
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want a *pool.ToolError", err)
	}
	want := &pool.ToolError{Type: "ValueError", Message: "no", Traceback: "Traceback: line 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Who leaves a call takes it along: the worker's context ends.
func TestCallEndsWithItsClient(t *testing.T) {
	b := serve(t, os.Getuid(), map[string]int{"default": 1})
	for name, leave := range map[string]func() error{
		"cancelled": func() error {
			ctx, cancel := context.WithCancel(soon(t))
			_, err := b.client.Call(ctx, Call{Tool: "wait", Parameters: json.RawMessage("{}"), Stream: true}, func([]byte) error {
				cancel()
				return nil
			})
			return err
		},
		"given up in a chunk": func() error {
			_, err := b.client.Call(soon(t), Call{Tool: "wait", Parameters: json.RawMessage("{}"), Stream: true}, func([]byte) error {
				return context.Canceled
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := leave(); !errors.Is(err, context.Canceled) {
				t.Errorf("the client gets %v", err)
			}
			select {
			case err := <-b.tools.ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the worker's call ends by %v", err)
				}
			case <-soon(t).Done():
				t.Error("the worker's call goes on")
			}
		})
	}
}

func TestDeadlineReachesTheWorker(t *testing.T) {
	b := serve(t, os.Getuid(), map[string]int{"default": 1})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := b.client.Call(ctx, Call{Tool: "wait", Parameters: json.RawMessage("{}")}, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the client gets %v", err)
	}
	select {
	case <-b.tools.ended:
	case <-soon(t).Done():
		t.Error("the worker's call goes on")
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	client, err := Dial(dir + "/nobody.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Status(soon(t)); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Status: %v", err)
	}
	if _, err := client.Stop(soon(t), 0, false, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Stop: %v", err)
	}
	if _, err := client.Call(soon(t), Call{}, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Call: %v", err)
	}
}
