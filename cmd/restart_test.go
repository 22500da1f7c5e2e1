package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

func restarted(worker string) pool.Restarted {
	return pool.Restarted{
		Worker: worker, OldPID: 2001, NewPID: 2101, Port: 40001,
		Stop: 5_432_100, Release: 41_600, Start: 112_345_678, Total: 117_819_378,
	}
}

func held(worker string) pool.Restarted {
	return pool.Restarted{
		Worker: worker, OldPID: 2002, Port: 40002, Stop: 6 * time.Millisecond, Release: 2 * time.Second, Total: 2006 * time.Millisecond,
		Err: &pool.CleanupTimeoutError{Worker: worker, Port: 40002, After: 2 * time.Second, Holder: "PID 4711 (nc -l 40002, user ada)"},
	}
}

func notReady(worker string) pool.Restarted {
	return pool.Restarted{
		Worker: worker, Port: 40003, Start: 80 * time.Millisecond, Total: 80 * time.Millisecond,
		Err: &pool.NotRestartedError{Failure: pool.Failure{
			Worker: worker, Kind: "exit", Reason: "it ended before it was ready: exit 1", Output: []string{"Traceback (most recent call last):", "KeyError: 'HOME'"},
		}},
	}
}

func notTried(worker string) pool.Restarted {
	return pool.Restarted{Worker: worker, Port: 40004, Err: pool.ErrNotTried}
}

func stopping(worker string) pool.Restarted {
	return pool.Restarted{Worker: worker, Port: 40005, Err: pool.ErrStopping}
}

func sampleRestarts() []pool.Restarted {
	fresh := restarted("api-10")
	fresh.OldPID, fresh.Stop, fresh.Release = 0, 0, 0
	return []pool.Restarted{restarted("api-0"), fresh, held("api-1"), notReady("api-2"), stopping("batch-1"), notTried("batch-0")}
}

func TestRestartTable(t *testing.T) {
	s := newStyles(io.Discard)
	checkGolden(t, "restart_table.txt", s.restarts(sampleRestarts(), 0))
	checkGolden(t, "restart_table_60.txt", s.restarts(sampleRestarts(), 60))
	var lines []string
	for _, r := range sampleRestarts() {
		lines = append(lines, restartedLine(s, r))
	}
	checkGolden(t, "restart_lines.txt", strings.Join(lines, "\n"))
}

// The document as it was promised to those who script against it.
func TestRestartDocument(t *testing.T) {
	tally := restartTally{
		asked: []string{"api-0", "api-1", "api-2"}, ended: []pool.Restarted{held("api-1"), restarted("api-0")},
		cut: context.DeadlineExceeded, timeout: 3 * time.Second,
	}
	want := `{"schema_version":1,` +
		`"restarted":[{"worker":"api-0","old_pid":2001,"new_pid":2101,"port":40001,"stop_ms":5.432,"release_ms":0.041,"start_ms":112.345,"total_ms":117.819}],` +
		`"failed":[{"worker":"api-1","error":"cleanup_timeout: port 40002 of api-1 is not free after 2s: held by PID 4711 (nc -l 40002, user ada)"},` +
		`{"worker":"api-2","error":"not within 3s"}]}`
	got, err := json.Marshal(tally.document())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	empty, err := json.Marshal((&restartTally{}).document())
	if err != nil || string(empty) != `{"schema_version":1,"restarted":[],"failed":[]}` {
		t.Errorf("without workers: %s, %v", empty, err)
	}
}

func TestRestartVerdict(t *testing.T) {
	const goesOn = "nothing more is begun, and what is under way goes on by itself; see: snakepit list"
	const lookAt = "look at it: ps -o pid,ppid,user,stat,args -p 4711; end it: kill 4711; api-1 comes back by itself as soon as port 40002 is free"
	const timeoutText = "cleanup_timeout: port 40002 of api-1 is not free after 2s: held by PID 4711 (nc -l 40002, user ada)"
	for _, tt := range []struct {
		name  string
		asked []string // those that have ended, where none are named
		ended []pool.Restarted
		cut   error
		code  int
		text  string
		hint  string
	}{
		{name: "done", ended: []pool.Restarted{restarted("api-0"), restarted("api-1")}},
		{name: "done when the time is over", ended: []pool.Restarted{restarted("api-0")}, cut: context.DeadlineExceeded},
		{name: "a port", ended: []pool.Restarted{held("api-1")}, code: 5, text: "cannot restart api-1: " + timeoutText, hint: lookAt},
		{
			name: "not ready", ended: []pool.Restarted{notReady("api-2")}, code: 1,
			text: "cannot restart api-2: it ended before it was ready: exit 1\n    | Traceback (most recent call last):\n    | KeyError: 'HOME'",
			hint: "see: snakepit logs api-2; mend it, then: snakepit restart api-2",
		},
		{
			name: "a port, and others not tried", ended: []pool.Restarted{restarted("api-0"), held("api-1"), notTried("api-2"), notTried("api-3")}, code: 5,
			text: "cannot restart 3 of 4 workers\n  api-1: " + timeoutText + "\n  not tried: api-2, api-3", hint: lookAt,
		},
		{
			name: "both kinds", ended: []pool.Restarted{held("api-1"), notReady("api-2")}, code: 1,
			text: "cannot restart 2 of 2 workers\n  api-1: " + timeoutText + "\n  api-2: it ended before it was ready: exit 1" +
				"\n    | Traceback (most recent call last):\n    | KeyError: 'HOME'",
			hint: "see: snakepit logs api-2; mend it, then: snakepit restart api-2",
		},
		{
			name: "stopping", ended: []pool.Restarted{held("api-1"), stopping("api-2")}, code: 1,
			text: "cannot restart 2 of 2 workers\n  api-1: " + timeoutText + "\n  api-2: the pool is stopping", hint: "it takes no calls any more; see: snakepit list",
		},
		{
			name: "not within the time", asked: []string{"api-0", "api-1", "api-2"}, ended: []pool.Restarted{restarted("api-1")}, cut: context.DeadlineExceeded, code: 5,
			text: "cannot restart 2 of 3 workers\n  not within 3s: api-0, api-2", hint: goesOn,
		},
		{name: "one, not within the time", asked: []string{"api-0"}, cut: context.DeadlineExceeded, code: 5, text: "cannot restart api-0: not within 3s", hint: goesOn},
		{name: "one, interrupted", asked: []string{"api-0"}, cut: context.Canceled, code: 1, text: "cannot restart api-0: interrupted", hint: goesOn},
		{
			name: "interrupted, and a port", asked: []string{"api-0", "api-1"}, ended: []pool.Restarted{held("api-1")}, cut: context.Canceled, code: 1,
			text: "cannot restart 2 of 2 workers\n  api-1: " + timeoutText + "\n  interrupted: api-0", hint: goesOn,
		},
		{
			name: "not ready, and too late", asked: []string{"api-0", "api-2"}, ended: []pool.Restarted{notReady("api-2")}, cut: context.DeadlineExceeded, code: 1,
			text: "cannot restart 2 of 2 workers\n  api-2: it ended before it was ready: exit 1\n    | Traceback (most recent call last):\n    | KeyError: 'HOME'\n  not within 3s: api-0",
			hint: "see: snakepit logs api-2; mend it, then: snakepit restart api-2",
		},
		{
			name: "the supervisor is gone", asked: []string{"api-0", "api-1"}, ended: []pool.Restarted{restarted("api-0")}, cut: control.ErrUnreachable, code: 1,
			text: "cannot restart 1 of 2 workers\n  the supervisor does not answer: api-1", hint: "see: snakepit list",
		},
		{
			name: "one pool is gone", ended: []pool.Restarted{restarted("api-0")}, cut: pool.ErrStopping, code: 1,
			text: "cannot restart: the pool is stopping", hint: "it takes no calls any more; see: snakepit list",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tally := &restartTally{asked: tt.asked, ended: tt.ended, cut: tt.cut, timeout: 3 * time.Second}
			for _, r := range tt.ended {
				if len(tt.asked) == 0 || !slices.Contains(tally.asked, r.Worker) {
					tally.asked = append(tally.asked, r.Worker)
				}
			}
			err := tally.verdict()
			if tt.code == 0 {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			code, hint := judge(err)
			if diff := cmp.Diff([]string{tt.text, tt.hint, fmt.Sprint(tt.code)}, []string{err.Error(), hint, fmt.Sprint(code)}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestManyAreNotNamed(t *testing.T) {
	tally := &restartTally{ended: []pool.Restarted{held("api-1")}}
	for i := range 13 {
		tally.ended = append(tally.ended, notTried(fmt.Sprint("w-", i)))
	}
	for _, r := range tally.ended {
		tally.asked = append(tally.asked, r.Worker)
	}
	want := "\n  not tried: w-0, w-1, w-2, w-3, w-4, w-5, w-6, w-7, w-8, w-9 and 3 more"
	if got := tally.verdict(); !strings.HasSuffix(got.Error(), want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
}

// The hint depends on how portcheck names an owner.
func TestHeldHint(t *testing.T) {
	for holder, want := range map[string]string{
		portcheck.Owner{PID: 99, Command: "nc -l", User: "ada"}.String(): "look at it: ps -o pid,ppid,user,stat,args -p 99; end it: kill 99; w-0 comes back",
		portcheck.Owner{PID: 99}.String():                                "end it: kill 99; w-0 comes back",
		portcheck.Owner{}.String():                                       "look for it as root: ss -ltnp 'sport = :7'; w-0 comes back",
		"":                                                               "look for it as root: ss -ltnp 'sport = :7'; w-0 comes back",
	} {
		got := heldHint(&pool.CleanupTimeoutError{Worker: "w-0", Port: 7, Holder: holder})
		if !strings.Contains(got, want) {
			t.Errorf("holder %q: %q does not say %q", holder, got, want)
		}
	}
}

func TestRestartHint(t *testing.T) {
	for _, tt := range []struct {
		failure pool.Failure
		want    string
	}{
		{pool.Failure{Kind: "missing_package", Hint: "pip install x"}, "pip install x; then: snakepit restart w-0"},
		{pool.Failure{Kind: "ready_timeout"}, "--ready-timeout 2m"},
		{pool.Failure{Kind: "exit"}, "snakepit logs w-0"},
	} {
		tt.failure.Worker = "w-0"
		if got := restartHint(tt.failure); !strings.Contains(got, tt.want) {
			t.Errorf("%+v: %q does not say %q", tt.failure, got, tt.want)
		}
	}
}

func TestAsked(t *testing.T) {
	answer := &controlpb.StatusResponse{Pools: []*controlpb.Pool{
		{Name: "api", Workers: []*controlpb.Worker{{Id: "api-0"}, {Id: "api-1"}}},
		{Name: "batch", Workers: []*controlpb.Worker{{Id: "batch-0"}}},
	}}
	for _, tt := range []struct {
		o    restartOptions
		want []string
	}{
		{restartOptions{all: true}, []string{"api-0", "api-1", "batch-0"}},
		{restartOptions{all: true, restart: control.Restart{Pool: "batch"}}, []string{"batch-0"}},
		{restartOptions{restart: control.Restart{Workers: []string{"api-1", "api-0", "api-1"}}}, []string{"api-1", "api-0"}},
	} {
		if diff := cmp.Diff(tt.want, tt.o.asked(answer)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.o.restart, diff)
		}
	}
}

// finish prints to the right place, and a refused restart prints no document.
func TestRestartFinish(t *testing.T) {
	for _, tt := range []struct {
		name, output string
		tally        restartTally
		out          []string // what standard output has; nil: nothing at all
		failed       bool
	}{
		{"table", "table", restartTally{asked: []string{"api-0"}, ended: []pool.Restarted{restarted("api-0")}}, []string{"WORKER", "● ready"}, false},
		{"json", "json", restartTally{asked: []string{"api-0"}, ended: []pool.Restarted{restarted("api-0")}}, []string{`"new_pid": 2101`}, false},
		{"json of a failure", "json", restartTally{asked: []string{"api-1"}, ended: []pool.Restarted{held("api-1")}}, []string{`"restarted": []`, "cleanup_timeout"}, true},
		{"json, too late", "json", restartTally{asked: []string{"api-1"}, cut: context.Canceled}, []string{`"error": "interrupted"`}, true},
		{"table, too late", "table", restartTally{asked: []string{"api-1"}, cut: context.Canceled}, nil, true},
		{"json, refused", "json", restartTally{asked: []string{"api-9"}, cut: pool.ErrNoWorker}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			o := &restartOptions{env: &Env{Out: &out, Err: &errs}, output: &outputFlag{value: tt.output}}
			if err := o.finish(&tt.tally); (err != nil) != tt.failed {
				t.Errorf("it returns %v", err)
			}
			for _, word := range tt.out {
				if !strings.Contains(out.String(), word) {
					t.Errorf("no %q in %q", word, &out)
				}
			}
			if tt.out == nil && out.Len() > 0 || errs.Len() > 0 {
				t.Errorf("it prints %q and %q", &out, &errs)
			}
		})
	}
}

// Who lost the reader of the table must still be told of the failure.
func TestRestartFailureBeforeBrokenOutput(t *testing.T) {
	o := &restartOptions{env: &Env{Out: broken{}}, output: &outputFlag{value: "json"}}
	err := o.finish(&restartTally{asked: []string{"api-1"}, ended: []pool.Restarted{held("api-1")}})
	if code, _ := judge(err); code != exitTimeout {
		t.Errorf("got %v", err)
	}
	err = o.finish(&restartTally{asked: []string{"api-0"}, ended: []pool.Restarted{restarted("api-0")}})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
