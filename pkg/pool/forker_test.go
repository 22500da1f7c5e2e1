package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// journal is an Output that is read when nobody writes any more.
type journal struct {
	strings.Builder
	closed bool
}

func (j *journal) Close() error   { j.closed = true; return nil }
func (j *journal) Tail() []string { return strings.Split(j.String(), "\n") }

// What a process printed before it had a place comes first in its log.
func TestLateOutput(t *testing.T) {
	late, log := &lateOutput{}, &journal{}
	_, _ = io.WriteString(late, "imported\nmade\n")
	if got := late.Tail(); len(got) != 2 || got[1] != "made" || late.empty() {
		t.Errorf("without a place its last lines are %q", got)
	}
	late.become(log)
	_, _ = io.WriteString(late, "serves\n")
	if log.String() != "imported\nmade\nserves\n" || log.closed {
		t.Errorf("its log has %q, closed: %t", log.String(), log.closed)
	}
	if err := late.Close(); err != nil || !log.closed {
		t.Errorf("closed: %t, %v", log.closed, err)
	}
}

// It may have ended before anybody knows where its words go.
func TestLateOutputOfAnEndedProcess(t *testing.T) {
	late, log := &lateOutput{}, &journal{}
	_, _ = io.WriteString(late, "broken\n")
	_ = late.Close()
	late.become(log)
	if log.String() != "broken\n" || !log.closed {
		t.Errorf("%q, closed: %t", log.String(), log.closed)
	}
}

func TestLateOutputIsBounded(t *testing.T) {
	late, log := &lateOutput{}, &journal{}
	for range 100 {
		_, _ = late.Write(make([]byte, 10_000))
	}
	_, _ = io.WriteString(late, "last")
	late.become(log)
	if n := len(log.String()); n != maxLate || !strings.HasSuffix(log.String(), "last") {
		t.Errorf("%d bytes were kept, want the last %d", n, maxLate)
	}
}

func TestIDsBesideTheWorkers(t *testing.T) {
	// A worker's id is written over them: there must be room for any.
	for _, id := range []string{ForkserverID("api"), StandbyID("api")} {
		if len(id) < len(WorkerID("api", 4095)) || id == WorkerID("api", 0) {
			t.Errorf("%q is shorter than %q", id, WorkerID("api", 4095))
		}
	}
}

func TestRefusals(t *testing.T) {
	for kind, want := range map[string]struct{ stale, forGood bool }{
		"stale": {stale: true}, "fork": {}, "threads": {forGood: true}, "subreaper": {forGood: true}, "fork_marker": {forGood: true},
	} {
		r := &refusal{Kind: kind}
		if r.stale() != want.stale || r.forGood() != want.forGood {
			t.Errorf("%s: stale %t, for good %t", kind, r.stale(), r.forGood())
		}
	}
}

// Where no forks can become its children, the launcher says so once, and spawns.
func TestSpawnsWhereForksWouldNotBeChildren(t *testing.T) {
	if canFork() == nil {
		t.Skip("this process takes the orphans among its descendants")
	}
	l, outputs := rig(t, "serve")
	go func() {
		for range outputs { // nobody reads what they print
			continue
		}
	}()
	t.Cleanup(func() { close(outputs) })
	spawned := l.command
	l.command = func(s Spec) Command {
		c := spawned(s)
		c.Fork = &Fork{Args: c.Args, Env: c.Env, Standby: 1}
		return c
	}
	var mu sync.Mutex
	var told []Notice
	l.OnNotice(func(n Notice) { mu.Lock(); told = append(told, n); mu.Unlock() })
	p, err := New(Options{
		Workers: 2, Launcher: l, ReadyTimeout: time.Minute,
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
	for _, s := range p.Status() {
		if s.StartedBy != Spawned {
			t.Errorf("%s was started by %q", s.Worker, s.StartedBy)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 1 || told[0].Kind != ForkFallback || told[0].Pool != "default" || told[0].Reason == "" {
		t.Errorf("it told %+v, want the fallback, once", told)
	}
	if len(l.Started()) != 2 {
		t.Errorf("it has started PID %v, want the two workers", l.Started())
	}
}

// A link carries whole messages, and descriptors beside them.
func TestLink(t *testing.T) {
	ours, given, err := newLink()
	if err != nil {
		t.Skip(err)
	}
	defer given.Close()
	defer ours.close()
	if err := ours.receive(t.Context(), time.Millisecond, &struct{}{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody says anything: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ours.receive(cancelled, 0, &struct{}{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody waits: %v", err)
	}
	for _, text := range []string{`{"pid":1}`, `{"pid":2}`} {
		if _, err := given.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for want := 1; want <= 2; want++ {
		var said forkAnswer
		if err := ours.receive(t.Context(), time.Minute, &said); err != nil || said.PID != want {
			t.Errorf("%+v, %v; want PID %d", said, err, want)
		}
	}
	_ = given.Close()
	if err := ours.receive(t.Context(), time.Minute, &struct{}{}); !errors.Is(err, io.EOF) {
		t.Errorf("the other end has gone: %v", err)
	}
}
