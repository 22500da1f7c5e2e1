package control

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

func TestStop(t *testing.T) {
	b := serve(t, os.Getuid(), nil)
	var asked StopOptions
	b.run.stop = func(o StopOptions) StopSummary {
		asked = o
		o.Result(pool.StopResult{Worker: "default-0", PID: 7, Exit: "exit 0", Signal: "TERM", Took: time.Second})
		o.Result(pool.StopResult{Worker: "default-1", PID: 8, Exit: "not ended", Signal: "KILL", Err: "PID 8 is still there"})
		return StopSummary{
			Survivors: []pool.Survivor{{PID: 8, What: "default-1"}},
			Guard:     &Cleanup{Found: []int{8, 9}, Killed: []int{9}, Survivors: []int{8}, Errors: []string{"e"}},
			Errors:    []string{"f"},
			Notes:     []string{"g"},
		}
	}
	var each []*controlpb.WorkerStopped
	summary, err := b.client.Stop(soon(t), 3*time.Second, true, func(w *controlpb.WorkerStopped) { each = append(each, w) })
	if err != nil {
		t.Fatal(err)
	}
	if asked.Grace != 3*time.Second || !asked.Force {
		t.Errorf("the run was asked for %+v", asked)
	}
	wantEach := []*controlpb.WorkerStopped{
		{Id: "default-0", Pid: 7, Exit: "exit 0", Signal: "TERM", Took: durationpb.New(time.Second)},
		{Id: "default-1", Pid: 8, Exit: "not ended", Signal: "KILL", Took: durationpb.New(0), Error: "PID 8 is still there"},
	}
	if diff := cmp.Diff(wantEach, each, protocmp.Transform()); diff != "" {
		t.Errorf("workers (-want +got):\n%s", diff)
	}
	want := &controlpb.StopSummary{
		Survivors: []*controlpb.Survivor{{Pid: 8, What: "default-1"}},
		Guard:     &controlpb.Cleanup{Found: []int32{8, 9}, Killed: []int32{9}, Survivors: []int32{8}, Errors: []string{"e"}},
		Errors:    []string{"f"},
		Notes:     []string{"g"},
	}
	if diff := cmp.Diff(want, summary, protocmp.Transform()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestStopWithoutWishesOrGuard(t *testing.T) {
	b := serve(t, os.Getuid(), nil)
	var asked StopOptions
	b.run.stop = func(o StopOptions) StopSummary { asked = o; return StopSummary{} }
	summary, err := b.client.Stop(soon(t), 0, false, nil)
	if err != nil || summary.Guard != nil || asked.Grace != 0 || asked.Force {
		t.Errorf("got %+v, %v; the run was asked for %+v", summary, err, asked)
	}
}

// A run that was told to stop stops, even if nobody listens any more.
func TestStopGoesOnWithoutItsClient(t *testing.T) {
	b := serve(t, os.Getuid(), nil)
	begun, left, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b.run.stop = func(o StopOptions) StopSummary {
		close(begun)
		<-left
		for range 100 { // more than any buffer on the way takes
			o.Result(pool.StopResult{Err: strings.Repeat("x", 10_000)})
		}
		close(stopped)
		return StopSummary{}
	}
	ctx, cancel := context.WithCancel(soon(t))
	go func() { <-begun; cancel() }()
	if _, err := b.client.Stop(ctx, 0, false, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the client gets %v", err)
	}
	close(left)
	select {
	case <-stopped:
	case <-soon(t).Done():
		t.Error("the stop hangs")
	}
}

// No summary means that nobody has looked for survivors: never a success.
func TestServerEndsDuringStop(t *testing.T) {
	b := serve(t, os.Getuid(), nil)
	ended := make(chan struct{})
	b.run.stop = func(o StopOptions) StopSummary {
		o.Result(pool.StopResult{Worker: "default-0"})
		<-ended
		return StopSummary{}
	}
	heard := make(chan struct{}, 1)
	go func() {
		<-heard
		time.AfterFunc(100*time.Millisecond, func() { close(ended) }) // the handler must not hold up the end
		b.server.Close(0)
	}()
	summary, err := b.client.Stop(soon(t), 0, false, func(*controlpb.WorkerStopped) { heard <- struct{}{} })
	if summary != nil || !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v, %v; want that the supervisor is not reached", summary, err)
	}
}
