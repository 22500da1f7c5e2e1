package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

func TestLaunchServeStop(t *testing.T) {
	port := freePort(t)
	p := launch(t, "serve", port)
	mustBeReady(t, p)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if alive, err := p.ID().Alive(); !alive || err != nil {
		t.Errorf("its identity %+v: alive %v, %v", p.ID(), alive, err)
	}
	if pgid, err := syscall.Getpgid(p.ID().PID); err != nil || pgid != p.ID().PID {
		t.Errorf("it is in group %d, %v; want one of its own", pgid, err)
	}
	if err := p.SignalGroup(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, p.Done())
	if got := p.Exit(); got != (Exit{Expected: true}) {
		t.Errorf("it ended by %s (%s), want exit 0", got, got.Kind())
	}
	if left, err := p.EndGroup(soon(t), time.Minute); len(left) != 0 || err != nil {
		t.Errorf("left in its group: %+v, %v", left, err)
	}
}

// Nothing of the process is signalled once its number may be another's.
func TestSignalAfterTheEnd(t *testing.T) {
	p := launch(t, "serve", 0)
	mustBeReady(t, p)
	_ = p.SignalGroup(syscall.SIGKILL)
	await(t, p.Done())
	if err := p.SignalGroup(syscall.SIGTERM); !errors.Is(err, procscan.ErrGone) {
		t.Errorf("SignalGroup: %v", err)
	}
	if err := p.DumpStacks(); !errors.Is(err, procscan.ErrGone) {
		t.Errorf("DumpStacks: %v", err)
	}
}

func TestExitIsReported(t *testing.T) {
	for _, tt := range []struct {
		role   string
		signal syscall.Signal
		want   Exit
		text   string
	}{
		{"die-early", 0, Exit{Code: 3}, "exit 3"},
		{"serve", syscall.SIGTERM, Exit{Expected: true}, "exit 0"},
		{"only-term", syscall.SIGTERM, Exit{Signal: syscall.SIGTERM, Expected: true}, "SIGTERM"},
		{"only-lifeline", syscall.SIGKILL, Exit{Signal: syscall.SIGKILL, Expected: true}, "SIGKILL"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			p := launch(t, tt.role, 0)
			if tt.signal != 0 {
				mustBeReady(t, p)
				if err := p.SignalGroup(tt.signal); err != nil {
					t.Fatal(err)
				}
			}
			await(t, p.Done())
			if got := p.Exit(); got != tt.want || got.String() != tt.text {
				t.Errorf("got %s (%s), want %s", got, got.Kind(), tt.text)
			}
		})
	}
}

// What others send was not asked for.
func TestExitByAnothersHand(t *testing.T) {
	p := launch(t, "serve", 0)
	mustBeReady(t, p)
	if err := syscall.Kill(p.ID().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, p.Done())
	if got := p.Exit(); got != (Exit{Signal: syscall.SIGKILL}) || got.Kind() != ExitSignal {
		t.Errorf("got %s (%s), want SIGKILL", got, got.Kind())
	}
}

func TestEarlyDeathLeavesItsWords(t *testing.T) {
	p := launch(t, "die-early", 0)
	if _, err := p.Readiness(soon(t)); !errors.Is(err, errNoReadiness) {
		t.Errorf("readiness: %v", err)
	}
	await(t, p.Done())
	if p.ID().PID == 0 {
		t.Error("it has no PID")
	}
	want := []string{"importing", "ModuleNotFoundError: no module named 'numpy'"}
	if diff := cmp.Diff(want, p.Tail()); diff != "" {
		t.Errorf("tail (-want +got):\n%s", diff)
	}
}

func TestHalfAReadyLineIsAnError(t *testing.T) {
	p := launch(t, "half-line", 0)
	if said, err := p.Readiness(soon(t)); err == nil || errors.Is(err, errNoReadiness) {
		t.Errorf("got %+v, %v; want that it cannot be used", said, err)
	}
}

// The line is the word, not the end of the channel: a child that the worker
// forked before may keep it open.
func TestReadyWhileAChildKeepsTheChannel(t *testing.T) {
	p := launch(t, "keep-channel", 0)
	mustBeReady(t, p)
	hold(t, p.word(t, "child"))
}

func TestReadinessEndsWithItsContext(t *testing.T) {
	p := launch(t, "child", 0) // says nothing
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
	if _, err := p.Readiness(ctx); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
}

// A worker that closes its output is neither ended nor taken for ended.
func TestClosedOutput(t *testing.T) {
	p := launch(t, "close-output", 0)
	mustBeReady(t, p)
	await(t, p.output.closed)
	select {
	case <-p.Done():
		t.Fatalf("it ended: %s", p.Exit())
	default:
	}
	_ = p.SignalGroup(syscall.SIGTERM)
	await(t, p.Done())
	if got := p.Exit(); got != (Exit{Expected: true}) {
		t.Errorf("it ended by %s, want exit 0", got)
	}
}

func TestNoOutputIsLost(t *testing.T) {
	p := launch(t, "flood", 0)
	await(t, p.Done())
	await(t, p.output.closed)
	if got := p.Exit(); got != (Exit{}) {
		t.Errorf("it ended by %s, want exit 0", got)
	}
	lines := p.output.lines()
	if len(lines) != floodLines {
		t.Fatalf("%d lines arrived, %d were printed", len(lines), floodLines)
	}
	for i, line := range lines {
		if line != floodLine(i) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}

// fullDisk is an Output that takes nothing.
type fullDisk struct{ *memory }

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A worker whose log cannot be written prints on, and does not get a broken
// pipe for it.
func TestWorkerOutlivesItsLog(t *testing.T) {
	l, err := NewExecLauncher(roleCommand("flood"), func(Spec) (Output, error) { return fullDisk{newMemory()}, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Launch(t.Context(), Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.(*child).ready.Close()
	await(t, p.Done())
	await(t, p.(*child).printed)
	if got := p.Exit(); got != (Exit{}) {
		t.Errorf("it ended by %s, want exit 0", got)
	}
}

func TestLaunchErrors(t *testing.T) {
	noDisk := errors.New("no log")
	output := newMemory()
	for _, tt := range []struct {
		name    string
		command func(Spec) Command
		output  func(Spec) (Output, error)
		want    error
	}{
		{"no such program", func(Spec) Command { return Command{Path: "/does/not/exist"} }, func(Spec) (Output, error) { return output, nil }, os.ErrNotExist},
		{"no output", roleCommand("serve"), func(Spec) (Output, error) { return nil, noDisk }, noDisk},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := NewExecLauncher(tt.command, tt.output)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			p, err := l.Launch(t.Context(), Spec{Worker: "default-0"})
			if !errors.Is(err, tt.want) || p != nil {
				t.Errorf("got %v, %v; want %v", p, err, tt.want)
			}
		})
	}
	await(t, output.closed) // the output of what was not launched
}

// Workers that share one environment do not write into each other's.
func TestEnvironmentIsCopied(t *testing.T) {
	shared := append(make([]string, 0, 8), "A=1")
	l, err := NewExecLauncher(func(Spec) Command { return Command{Path: "/bin/sh", Args: []string{"-c", "exit 0"}, Env: shared} },
		func(Spec) (Output, error) { return newMemory(), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Launch(t.Context(), Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.(*child).ready.Close()
	await(t, p.Done())
	await(t, p.(*child).printed)
	if beyond := shared[:2][1]; beyond != "" {
		t.Errorf("%q was written behind the caller's environment", beyond)
	}
}
