package control

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// fakePool is a pool that says what it is told to, and remembers what it was
// asked for.
type fakePool struct {
	name    string
	workers []string

	mu          sync.Mutex // guards the rest
	asked       []any
	stop        []pool.StopOptions // without Result
	stopContext context.Context

	restart func(context.Context, pool.RestartOptions) error
	scale   func(context.Context, int) ([]pool.StopResult, error)
	stopped []pool.StopResult
}

func (p *fakePool) note(request any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, request)
}

func (p *fakePool) Name() string { return p.name }

func (p *fakePool) Status() []pool.Status {
	var all []pool.Status
	for i, id := range p.workers {
		state := pool.Ready
		if i > 0 {
			state = pool.Failed
		}
		all = append(all, pool.Status{Worker: id, State: state})
	}
	return all
}

func (p *fakePool) Worker(id string) pool.Status {
	if slices.Contains(p.workers, id) {
		return pool.Status{Worker: id}
	}
	return pool.Status{}
}

func (p *fakePool) Restart(ctx context.Context, o pool.RestartOptions) ([]pool.Restarted, error) {
	asked := o
	asked.Result = nil
	p.note(asked)
	return nil, p.restart(ctx, o)
}

func (p *fakePool) Scale(ctx context.Context, n int) ([]pool.StopResult, error) {
	p.note(n)
	return p.scale(ctx, n)
}

func (p *fakePool) StopWorkers(ctx context.Context, ids []string, o pool.StopOptions) ([]pool.StopResult, error) {
	p.note(ids)
	p.mu.Lock()
	p.stop = append(p.stop, pool.StopOptions{Grace: o.Grace, Force: o.Force})
	p.stopContext = ctx
	p.mu.Unlock()
	for _, r := range p.stopped {
		o.Result(r)
	}
	return p.stopped, nil
}

// keep makes a server of fake pools: one, or two.
func keep(t *testing.T, pools ...*fakePool) *bench {
	t.Helper()
	b := serve(t, os.Getuid(), nil)
	b.server.keepers = func() []keeper {
		var all []keeper
		for _, p := range pools {
			all = append(all, p)
		}
		return all
	}
	return b
}

func twoPools() (api, batch *fakePool) {
	fine := func(context.Context, pool.RestartOptions) error { return nil }
	return &fakePool{name: "api", workers: []string{"api-0", "api-1", "api-2"}, restart: fine},
		&fakePool{name: "batch", workers: []string{"batch-0"}, restart: fine}
}

func TestRestart(t *testing.T) {
	one, _ := twoPools()
	failure := pool.Failure{Worker: "api-2", Kind: "exit", Reason: "it ended", Hint: "mend it", Output: []string{"a", "b"}}
	want := []pool.Restarted{
		{Worker: "api-0", OldPID: 7, NewPID: 8, Port: 4000, Stop: time.Microsecond, Release: 2, Start: time.Second, Total: time.Minute},
		{Worker: "api-1", OldPID: 9, Port: 4001, Err: &pool.CleanupTimeoutError{Worker: "api-1", Port: 4001, After: 2 * time.Second, Holder: "PID 5 (nc)"}},
		{Worker: "api-2", NewPID: 0, Err: &pool.NotRestartedError{Failure: failure}},
	}
	one.restart = func(_ context.Context, o pool.RestartOptions) error {
		for _, r := range want {
			o.Result(r)
		}
		return nil
	}
	b := keep(t, one)
	var got []pool.Restarted
	request := Restart{Workers: []string{"api-2", "api-0", "api-2"}, Rolling: 3, Grace: time.Second, Force: true, ReleaseTimeout: time.Minute}
	if err := b.client.Restart(soon(t), request, func(r pool.Restarted) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	asked := []any{pool.RestartOptions{Workers: []string{"api-2", "api-0"}, Rolling: 3, Grace: time.Second, Force: true, ReleaseTimeout: time.Minute}}
	if diff := cmp.Diff(asked, one.asked); diff != "" {
		t.Errorf("the pool was asked for something else (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What was wrapped keeps its text, and is still what it was.
func TestRestartErrorsKeepTheirText(t *testing.T) {
	for _, inner := range []error{
		&pool.CleanupTimeoutError{Worker: "api-0", Port: 1}, &pool.NotRestartedError{}, pool.ErrNotTried, pool.ErrStopping, errors.New("plain"),
	} {
		sent := errors.Join(inner, errors.New("and more"))
		got := workerErrorFrom("api-0", workerErrorOf(sent))
		if got.Error() != sent.Error() {
			t.Errorf("%q came as %q", sent, got)
		}
		for _, target := range []any{new(*pool.CleanupTimeoutError), new(*pool.NotRestartedError)} {
			if errors.As(got, target) != errors.As(sent, target) {
				t.Errorf("%q came as another type", sent)
			}
		}
		for _, is := range []error{pool.ErrNotTried, pool.ErrStopping} {
			if errors.Is(got, is) != errors.Is(sent, is) {
				t.Errorf("%q is %v: %v", sent, is, errors.Is(got, is))
			}
		}
	}
	if workerErrorFrom("", workerErrorOf(nil)) != nil {
		t.Error("no error came as one")
	}
}

func TestRestartFindsThePools(t *testing.T) {
	all := pool.RestartOptions{Rolling: 1}
	some := func(ids ...string) pool.RestartOptions { return pool.RestartOptions{Rolling: 1, Workers: ids} }
	for _, tt := range []struct {
		name       string
		request    Restart
		api, batch []any // what each is asked for
		text       string
	}{
		{name: "all", api: []any{all}, batch: []any{all}},
		{name: "a pool", request: Restart{Pool: "batch"}, batch: []any{all}},
		{name: "workers of both", request: Restart{Workers: []string{"batch-0", "api-2", "api-0"}}, api: []any{some("api-2", "api-0")}, batch: []any{some("batch-0")}},
		{name: "workers of one", request: Restart{Workers: []string{"api-1"}}, api: []any{some("api-1")}},
		{name: "a pool and its worker", request: Restart{Pool: "api", Workers: []string{"api-1"}}, api: []any{some("api-1")}},
		{
			name: "some unknown", request: Restart{Workers: []string{"api-0", "api-3", "nobody"}},
			text: `no such worker: "api-3", "nobody"; there are api-0 to api-2, batch-0`,
		},
		{name: "worker of another pool", request: Restart{Pool: "batch", Workers: []string{"api-0"}}, text: `no such worker: "api-0"; there are batch-0`},
		{name: "no such pool", request: Restart{Pool: "none"}, text: `no such worker: no pool "none"; the run has api, batch`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api, batch := twoPools()
			b := keep(t, api, batch)
			err := b.client.Restart(soon(t), tt.request, func(pool.Restarted) { t.Error("a worker was restarted") })
			if tt.text == "" && err != nil || tt.text != "" && (err == nil || err.Error() != tt.text || !errors.Is(err, pool.ErrNoWorker)) {
				t.Errorf("got %v, want %q", err, tt.text)
			}
			if diff := cmp.Diff([][]any{tt.api, tt.batch}, [][]any{api.asked, batch.asked}); diff != "" {
				t.Errorf("the pools were asked for something else (-want +got):\n%s", diff)
			}
		})
	}
}

// Both pools go at once; the trouble of one is none of the other's, and reaches
// the client in the end.
func TestRestartOfTwoPools(t *testing.T) {
	api, batch := twoPools()
	failed := make(chan struct{})
	api.restart = func(context.Context, pool.RestartOptions) error {
		close(failed)
		return pool.ErrStopping
	}
	batch.restart = func(ctx context.Context, o pool.RestartOptions) error {
		<-failed
		for range 100 {
			o.Result(pool.Restarted{Worker: "batch-0", Err: ctx.Err()})
		}
		return nil
	}
	b := keep(t, api, batch)
	n := 0
	err := b.client.Restart(soon(t), Restart{}, func(r pool.Restarted) {
		n++
		if r.Err != nil {
			t.Errorf("%s: %v", r.Worker, r.Err)
		}
	})
	if !errors.Is(err, pool.ErrStopping) || n != 100 {
		t.Errorf("got %v after %d workers, want %v after 100", err, n, pool.ErrStopping)
	}
}

// Who leaves a restart lets the pool know: it begins no other. What it still
// says holds nobody up.
func TestRestartIsLeft(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(context.Context) (context.Context, context.CancelFunc)
		want  error
	}{
		{"interrupted", context.WithCancel, context.Canceled},
		{"too late", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 50*time.Millisecond)
		}, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api, _ := twoPools()
			ended := make(chan struct{})
			api.restart = func(ctx context.Context, o pool.RestartOptions) error {
				o.Result(pool.Restarted{Worker: "api-0"})
				<-ctx.Done()
				for range 100 {
					o.Result(pool.Restarted{Worker: "api-1", Err: ctx.Err()})
				}
				close(ended)
				return nil
			}
			b := keep(t, api)
			ctx, leave := tt.leave(soon(t))
			defer leave()
			err := b.client.Restart(ctx, Restart{}, func(r pool.Restarted) {
				if r.Worker != "api-0" {
					t.Errorf("%s is said to be over: %v", r.Worker, r.Err)
				}
				if tt.want == context.Canceled {
					leave()
				}
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("the client gets %v, want %v", err, tt.want)
			}
			select {
			case <-ended:
			case <-soon(t).Done():
				t.Error("the pool is held up")
			}
		})
	}
}

// The supervisor's clock may be the first to say that the time is over.
func TestRestartEndedByTheSupervisor(t *testing.T) {
	api, _ := twoPools()
	api.restart = func(_ context.Context, o pool.RestartOptions) error {
		o.Result(pool.Restarted{Worker: "api-1", Err: context.DeadlineExceeded})
		return nil
	}
	b := keep(t, api)
	err := b.client.Restart(soon(t), Restart{}, func(r pool.Restarted) { t.Errorf("%s is said to be over", r.Worker) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A stream that breaks off is no success.
func TestServerEndsDuringRestart(t *testing.T) {
	api, _ := twoPools()
	api.restart = func(ctx context.Context, o pool.RestartOptions) error {
		o.Result(pool.Restarted{Worker: "api-0"})
		<-ctx.Done()
		return nil
	}
	b := keep(t, api)
	err := b.client.Restart(soon(t), Restart{}, func(pool.Restarted) { go b.server.Close(0) })
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v, want that the supervisor is not reached", err)
	}
}

func TestScale(t *testing.T) {
	one, _ := twoPools()
	one.scale = func(context.Context, int) ([]pool.StopResult, error) {
		gone := pool.StopResult{Worker: "api-2", PID: 9, Exit: "exit 0", Signal: "TERM", Took: time.Second, Survivors: []pool.Survivor{{PID: 5, What: "x"}}}
		one.workers = one.workers[:2]
		return []pool.StopResult{gone}, nil
	}
	b := keep(t, one)
	var each []*controlpb.WorkerStopped
	summary, err := b.client.Scale(soon(t), "", 2, func(w *controlpb.WorkerStopped) { each = append(each, w) })
	if err != nil {
		t.Fatal(err)
	}
	wantEach := []*controlpb.WorkerStopped{{
		Id: "api-2", Pid: 9, Exit: "exit 0", Signal: "TERM", Took: durationpb.New(time.Second), Survivors: []*controlpb.Survivor{{Pid: 5, What: "x"}},
	}}
	want := &controlpb.ScaleSummary{Pool: "api", Before: 3, Workers: 2, Ready: 1}
	if diff := cmp.Diff(wantEach, each, protocmp.Transform()); diff != "" {
		t.Errorf("workers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, summary, protocmp.Transform()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{2}, one.asked); diff != "" {
		t.Errorf("the pool was asked for something else (-want +got):\n%s", diff)
	}
}

func TestScaleFails(t *testing.T) {
	api, batch := twoPools()
	failures := []pool.Failure{{Worker: "batch-1", Kind: "exit", Reason: "it ended", Hint: "h", Output: []string{"o"}}}
	batch.scale = func(context.Context, int) ([]pool.StopResult, error) {
		batch.workers = append(batch.workers, "batch-1")
		return nil, &pool.StartError{Pool: "batch", Workers: 1, Failures: failures}
	}
	api.scale = func(ctx context.Context, _ int) ([]pool.StopResult, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b := keep(t, api, batch)
	summary, err := b.client.Scale(soon(t), "batch", 2, nil)
	var start *pool.StartError
	if !errors.As(err, &start) || summary.GetWorkers() != 2 || summary.GetReady() != 1 {
		t.Fatalf("got %v, %v", summary, err)
	}
	if diff := cmp.Diff(&pool.StartError{Pool: "batch", Workers: 2, Failures: failures}, start); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	if _, err := b.client.Scale(soon(t), "", 2, nil); !errors.Is(err, ErrWhichPool) || !strings.HasSuffix(err.Error(), "the run has api, batch") {
		t.Errorf("without a pool: %v", err)
	}
	if _, err := b.client.Scale(soon(t), "none", 2, nil); !errors.Is(err, pool.ErrNoWorker) {
		t.Errorf("with another pool: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.client.Scale(ctx, "api", 5, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without the time: %v", err)
	}
}

func TestStopWorkers(t *testing.T) {
	api, batch := twoPools()
	api.stopped = []pool.StopResult{{Worker: "api-1", PID: 7, Exit: "SIGKILL", Signal: "KILL", Err: "e"}}
	batch.stopped = []pool.StopResult{{Worker: "batch-0", Exit: "no process"}}
	b := keep(t, api, batch)
	var ended []string
	each := func(w *controlpb.WorkerStopped) { ended = append(ended, w.Id+" "+w.Exit+" "+w.Error) }
	if err := b.client.StopWorkers(soon(t), []string{"batch-0", "api-1"}, time.Second, true, each); err != nil {
		t.Fatal(err)
	}
	slices.Sort(ended)
	if diff := cmp.Diff([]string{"api-1 SIGKILL e", "batch-0 no process "}, ended); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]any{[]string{"api-1"}, []string{"batch-0"}}, append(api.asked, batch.asked...)); diff != "" {
		t.Errorf("the pools were asked for something else (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]pool.StopOptions{{Grace: time.Second, Force: true}}, api.stop, cmp.Comparer(sameStop)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if api.stopContext.Done() != nil {
		t.Error("the stop would be left when its client leaves")
	}
	for _, ids := range [][]string{nil, {"api-9", "api-0"}} {
		err := b.client.StopWorkers(soon(t), ids, 0, false, func(*controlpb.WorkerStopped) { t.Errorf("%q: a worker was stopped", ids) })
		if !errors.Is(err, pool.ErrNoWorker) {
			t.Errorf("%q: %v", ids, err)
		}
	}
}

func sameStop(a, b pool.StopOptions) bool { return a.Grace == b.Grace && a.Force == b.Force }

// A supervisor of an older snakepit does not know these requests. It must not
// take the stop of a worker for the end of the run.
func TestOlderSupervisor(t *testing.T) {
	b := serve(t, os.Getuid(), nil)
	stopped := false
	b.run.stop = func(StopOptions) StopSummary { stopped = true; return StopSummary{} }
	// Asking for a method under a name that there is not is what it comes to.
	for _, method := range []string{"StopWorkersOfTomorrow", "RestartOfTomorrow"} {
		err := b.client.conn.Invoke(soon(t), "/snakepit.control.v1.Control/"+method, &controlpb.StatusRequest{}, &controlpb.StatusResponse{})
		if !errors.Is(fromStatus(err), ErrVersion) {
			t.Errorf("%s: %v", method, err)
		}
	}
	if stopped {
		t.Error("the run was stopped")
	}
}
