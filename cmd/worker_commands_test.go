package cmd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// What can be refused without a run is refused before one is looked for, with
// exit code 2 and a next step.
func TestWorkerCommandsRefuse(t *testing.T) {
	for _, tt := range []struct{ line, says, next string }{
		{"restart", "cannot restart: no worker is named", "--all"},
		{"restart default-0 --all", "cannot restart: workers are named, and --all is given", "leave out one"},
		{"restart --all --rolling 0", "cannot use --rolling 0: it is less than 1", "--rolling 1"},
		{"restart --all --rolling -2", "cannot use --rolling -2: it is less than 1", "--rolling 1"},
		{"restart --all --rolling two", `invalid argument "two" for "--rolling" flag`, "snakepit restart --help"},
		{"restart --all --grace -1s", "cannot use --grace -1s: it is negative", "--force"},
		{"restart --all --timeout -1s", "cannot use --timeout -1s: it is negative", "for ever"},
		{"restart --all --release-timeout 0s", "cannot use --release-timeout 0s: it is not longer than zero", "2s"},
		{"restart --all --release-timeout -1s", "cannot use --release-timeout -1s: it is not longer than zero", "2s"},
		{"restart --all -o wide", "it takes table|json", "snakepit restart --help"},
		{"scale", "accepts 1 arg(s), received 0", "snakepit scale --help"},
		{"scale 1 2", "accepts 1 arg(s), received 2", "snakepit scale --help"},
		{"scale 0", "cannot use the number of workers 0: the number of workers must be from 1 to 4096", "from 1 to 4096"},
		{"scale -- -1", "cannot use the number of workers -1: the number of workers must be from 1 to 4096", "from 1 to 4096"},
		{"scale -1", "unknown shorthand flag", "snakepit scale --help"},
		{"scale 4097", "must be from 1 to 4096", "from 1 to 4096"},
		{"scale many", "cannot use the number of workers many: it is not a whole number", "digits"},
		{"scale 2 --timeout -1s", "cannot use --timeout -1s: it is negative", "for ever"},
		{"stop default-0 --grace -1s", "cannot use --grace -1s: it is negative", "--force"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			var out, shown bytes.Buffer
			root := newRoot(&Env{In: strings.NewReader(""), Out: &out, Err: &shown, Now: time.Now})
			root.SetArgs(strings.Fields(tt.line))
			code := explain(&shown, root.ExecuteContext(t.Context()))
			says, next, _ := strings.Cut(shown.String(), "next:")
			if code != exitUsage || !strings.Contains(says, tt.says) || !strings.Contains(next, tt.next) || out.Len() > 0 {
				t.Errorf("exit code %d, %q, and on standard output %q; want 2, %q, next: %q", code, &shown, &out, tt.says, tt.next)
			}
		})
	}
}

func TestEndings(t *testing.T) {
	var shown bytes.Buffer
	e := &endings{env: &Env{Err: &shown}, styles: newStyles(io.Discard)}
	e.worker(&controlpb.WorkerStopped{Id: "api-0", Pid: 7, Exit: "exit 0", Signal: "TERM", Took: durationpb.New(5 * time.Millisecond)})
	e.worker(&controlpb.WorkerStopped{Id: "api-1", Exit: "no process"})
	if err := e.verdict("workers"); err != nil {
		t.Errorf("a clean stop is %v", err)
	}
	e.worker(&controlpb.WorkerStopped{
		Id: "api-2", Pid: 8, Exit: "not ended", Signal: "KILL", Took: durationpb.New(5 * time.Second), Error: "PID 8 is still there",
		Survivors: []*controlpb.Survivor{{Pid: 8, What: "api-2"}, {What: "port 40001 is held"}},
	})
	err := e.verdict("workers of run demo")
	if code, hint := judge(err); code != exitFailed || !strings.Contains(hint, "ps -o") || !strings.Contains(err.Error(), "workers of run demo stopped, but not cleanly") {
		t.Errorf("got %v with code %d and %q", err, code, hint)
	}
	want := `○ stopped  api-0  PID 7  exit 0 after TERM  in 5.0 ms
○ stopped  api-1  had no process
○ stopped  api-2  PID 8  not ended after KILL  in 5.00 s
✗ survivor: PID 8: api-2
✗ port 40001 is held
✗ api-2: PID 8 is still there
`
	if diff := cmp.Diff(want, shown.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"api-0", "api-1", "api-2"}, e.ended); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestScaledLine(t *testing.T) {
	s := newStyles(io.Discard)
	for _, tt := range []struct {
		before, workers, ready int32
		want                   string
	}{
		{2, 8, 8, "● running  pool api: 8/8 ready in 0.25 s; it had 2"},
		{8, 2, 1, "● running  pool api: 1/2 ready in 0.25 s; it had 8"},
		{4, 4, 4, "● running  pool api: 4/4 ready; it had as many before"},
	} {
		got := scaledLine(s, &controlpb.ScaleSummary{Pool: "api", Before: tt.before, Workers: tt.workers, Ready: tt.ready}, 250*time.Millisecond)
		if got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestScaleFailed(t *testing.T) {
	o := &scaleOptions{workers: 6, timeout: time.Second}
	summary := &controlpb.ScaleSummary{Pool: "api", Before: 4, Workers: 6, Ready: 4}
	failure := pool.Failure{Worker: "api-4", Kind: "exit", Reason: "it ended", Output: []string{"KeyError"}}
	err := o.failed(summary, &pool.StartError{Pool: "api", Workers: 6, Failures: []pool.Failure{failure, {Worker: "api-5", Reason: "so did this"}}})
	code, hint := judge(err)
	wantText := "cannot scale pool \"api\" to 6: 2 of its new workers failed, and stay as they are\n  api-4: it ended\n    | KeyError\n  api-5: so did this"
	wantHint := "mend it, then: snakepit restart api-4; or go back: snakepit scale 4 --pool api"
	if err.Error() != wantText || hint != wantHint || code != exitFailed {
		t.Errorf("got %q with code %d and %q", err, code, hint)
	}
	failure.Hint = "pip install x"
	_, hint = judge(o.failed(summary, &pool.StartError{Failures: []pool.Failure{failure}}))
	if hint != "pip install x; then: snakepit restart api-4" {
		t.Errorf("got the hint %q", hint)
	}
	if code, _ := judge(o.failed(nil, pool.ErrStopping)); code != exitFailed {
		t.Errorf("stopping: code %d", code)
	}
	if code, _ := judge(o.failed(nil, pool.ErrNoWorker)); code != exitNothing {
		t.Errorf("no such pool: code %d", code)
	}
	if err := o.failed(nil, pool.ErrStopping); !errors.Is(err, pool.ErrStopping) {
		t.Errorf("got %v", err)
	}
}
