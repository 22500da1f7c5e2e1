package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// A program of another make becomes ready in each of the ways, and is asked for
// its health in the same one.
func TestForeignBecomesReady(t *testing.T) {
	for _, tt := range []struct{ role, ready string }{
		{"foreign-tcp", "tcp"},
		{"foreign-closes", "tcp"},
		{"foreign-bare", "tcp"},
		{"foreign-health", "tcp"},
		{"foreign-health", "health"},
		{"foreign-late", "health"},
		{"foreign-child", "tcp"},
		{"foreign-session", "tcp"},
		{"foreign-says", "log:^Serving on [0-9]{5}$"},
		{"foreign-last", "log:^Serving"},
	} {
		t.Run(tt.role+" "+tt.ready, func(t *testing.T) {
			port := freePort(t)
			p := launchForeign(t, tt.role, tt.ready, port)
			mustBeReady(t, p)
			client, err := p.Connect()("127.0.0.1", port)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.Healthy(soon(t)); err != nil {
				t.Errorf("it is ready, but not healthy: %v", err)
			}
			_ = p.SignalGroup(syscall.SIGKILL)
			await(t, p.Done())
			if _, err := p.EndGroup(soon(t), 0); err != nil {
				t.Error(err)
			}
			if tt.role != "foreign-session" {
				mustNotBeHealthy(t, client)
			}
		})
	}
}

func mustNotBeHealthy(t *testing.T, client Client) {
	t.Helper()
	if err := client.Healthy(soon(t)); err == nil {
		t.Error("it is healthy after its end")
	}
}

func TestForeignIsNotReady(t *testing.T) {
	for _, tt := range []struct{ role, ready, kind, text string }{
		{"foreign-bare", "health", "no_health_service", "without grpc.health.v1.Health"},
		{"foreign-closes", "log:Serving", "output_closed", "no line of its output matches Serving"},
	} {
		t.Run(tt.role+" "+tt.ready, func(t *testing.T) {
			p := launchForeign(t, tt.role, tt.ready, freePort(t))
			_, err := p.Readiness(soon(t))
			var said *NotReadyError
			if !errors.As(err, &said) || said.Kind != tt.kind || !strings.Contains(said.Message, tt.text) || !strings.Contains(said.Hint, "--ready tcp") {
				t.Errorf("got %+v, want a %s about %q", err, tt.kind, tt.text)
			}
			if alive, err := p.ID().Alive(); !alive || err != nil {
				t.Errorf("it is not our word that ended it: alive %v, %v", alive, err)
			}
		})
	}
}

// One that ends before it serves is told by its end, in each of the ways.
func TestForeignDiesEarly(t *testing.T) {
	for _, ready := range []string{"tcp", "health", "log:Serving"} {
		p := launchForeign(t, "foreign-dies", ready, freePort(t))
		if _, err := p.Readiness(soon(t)); !errors.Is(err, errNoReadiness) {
			t.Errorf("%s: got %v, want %v", ready, err, errNoReadiness)
		}
		await(t, p.Done())
		if got := p.Exit(); got.Kind() != ExitError || got.String() != "exit 3" {
			t.Errorf("%s: it ended by %s (%s)", ready, got, got.Kind())
		}
	}
}

// One that never serves is waited for until the caller has had enough, who learns
// what stood against it.
func TestForeignNeverServes(t *testing.T) {
	for _, tt := range []struct{ role, ready, word, awaited string }{
		{"foreign-silent", "tcp", "silent", "refused"},
		{"foreign-silent", "health", "silent", "refused"},
		{"foreign-silent", "log:Serving", "silent", "no line of its output matches Serving"},
		{"foreign-astray", "tcp", "astray", "refused; it listens on NUMBER"},
	} {
		t.Run(tt.role+" "+tt.ready, func(t *testing.T) {
			p := launchForeign(t, tt.role, tt.ready, freePort(t))
			number := p.word(t, tt.word)
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("enough")
			go func() {
				for p.awaited.Load() == nil && ctx.Err() == nil {
					time.Sleep(time.Millisecond) // nothing tells of a note
				}
				cancel(why)
			}()
			if _, err := p.Readiness(ctx); !errors.Is(err, why) {
				t.Errorf("got %v, want %v", err, why)
			}
			want := strings.ReplaceAll(tt.awaited, "NUMBER", fmt.Sprint(number))
			if got := p.Awaited(soon(t)); !strings.HasSuffix(got, want) {
				t.Errorf("it was waited for because of %q, want %q", got, want)
			}
		})
	}
}

// Another process holds the port, and the program lives on without it: what
// answers there is not the worker.
func TestForeignPortOfAStranger(t *testing.T) {
	for _, ready := range []string{"tcp", "health"} {
		stranger, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		p := launchForeign(t, "foreign-stays", ready, portOf(stranger))
		p.word(t, "stays")
		mustBeTaken(t, p)
	}
}

// With SO_REUSEPORT both listen, and the kernel deals out the connections.
func TestForeignPortIsShared(t *testing.T) {
	stranger := listenShared("0")
	defer stranger.Close()
	p := launchForeign(t, "foreign-shares", "tcp", portOf(stranger))
	p.word(t, "shares")
	mustBeTaken(t, p)
}

func mustBeTaken(t *testing.T, p launched) {
	t.Helper()
	_, err := p.Readiness(soon(t))
	var said *NotReadyError
	if !errors.As(err, &said) || said.Kind != "port_in_use" || !strings.Contains(strings.ReplaceAll(said.Message, ",", " "), fmt.Sprintf("PID %d ", os.Getpid())) {
		t.Errorf("got %v, want that this process holds port %d", err, p.spec.Port)
	}
	if _, err := procscan.Lookup(p.ID().PID); err != nil {
		t.Errorf("it did not live on: %v", err)
	}
}

// A program of another make would end by the signal.
func TestForeignDumpsNoStacks(t *testing.T) {
	p := launchForeign(t, "foreign-tcp", "tcp", freePort(t))
	mustBeReady(t, p)
	if err := p.DumpStacks(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if err := p.SignalGroup(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, p.Done())
	if got := p.Exit(); got != (Exit{Signal: syscall.SIGTERM, Expected: true}) || got.Kind() != ExitExpected {
		t.Errorf("it ended by %s (%s)", got, got.Kind())
	}
}

// It may serve the workers' calls; if it does not, the caller is told so.
func TestForeignCalls(t *testing.T) {
	for _, tt := range []struct {
		role string
		call Call
		want string
		no   bool
	}{
		{role: "foreign-bridge", call: Call{Tool: "echo", Parameters: map[string]json.RawMessage{"a": json.RawMessage("1")}}, want: `{"a":1}`},
		{role: "foreign-bridge", call: Call{Tool: "counts", Stream: true}},
		{role: "foreign-health", call: Call{Tool: "echo"}, no: true},
		{role: "foreign-health", call: Call{Tool: "counts", Stream: true}, no: true},
	} {
		t.Run(tt.role+" "+tt.call.Tool, func(t *testing.T) {
			port := freePort(t)
			p := launchForeign(t, tt.role, "health", port)
			mustBeReady(t, p)
			client, err := p.Connect()("127.0.0.1", port)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			got, err := client.Execute(soon(t), tt.call, func([]byte) error { return nil })
			client.AwaitIdle(soon(t))
			var no *NoCallsError
			if errors.As(err, &no) != tt.no || !tt.no && err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v", got, err)
			}
			if tt.no && err.Error() != "worker default-0 does not serve snakepit's calls: it was started by --command" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A worker of the worker package is spoken to as the pool likes.
func TestConnectIsThePools(t *testing.T) {
	if p := launch(t, "serve", 0); p.Connect() != nil {
		t.Error("it decides itself")
	}
}

func TestRSS(t *testing.T) {
	p := launch(t, "serve", 0)
	mustBeReady(t, p)
	if got, err := p.RSS(); err != nil || got < 1<<20 || got > 1<<30 {
		t.Errorf("got %d bytes, %v", got, err)
	}
	_ = p.SignalGroup(syscall.SIGKILL)
	await(t, p.Done())
	if _, err := p.RSS(); !errors.Is(err, procscan.ErrGone) {
		t.Errorf("after its end: %v", err)
	}
}

// Nobody is left, and the port is free, though the programs know nothing of us.
func TestForeignLeavesNothing(t *testing.T) {
	port := freePort(t)
	p := launchForeign(t, "foreign-child", "tcp", port)
	mustBeReady(t, p)
	child := hold(t, p.word(t, "child"))
	if err := p.SignalGroup(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, p.Done())
	if _, err := p.EndGroup(soon(t), time.Minute); err != nil {
		t.Error(err)
	}
	if err := child.Wait(soon(t)); err != nil {
		t.Error(err)
	}
	if err := portcheck.Check(t.Context(), "127.0.0.1", port); err != nil {
		t.Error(err)
	}
}

func TestParseReady(t *testing.T) {
	for _, tt := range []struct {
		text string
		by   ReadyBy
		ok   bool
	}{
		{"health", ReadyHealth, true},
		{"tcp", ReadyTCP, true},
		{"log:Serving on .*", ReadyLog, true},
		{"log:", 0, false},
		{"log:(", 0, false},
		{"channel", 0, false},
		{"", 0, false},
		{"TCP", 0, false},
	} {
		got, err := ParseReady(tt.text)
		if got.By != tt.by || (err == nil) != tt.ok {
			t.Errorf("%q: got %v, %v", tt.text, got, err)
		}
		if tt.ok && got.String() != tt.text {
			t.Errorf("%q became %q", tt.text, got)
		}
	}
	l, err := NewExecLauncher(func(Spec) Command { return Command{Path: "/bin/sh", Ready: ReadyWhen{By: ReadyLog}} },
		func(Spec) (Output, error) { return newMemory(), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Launch(t.Context(), Spec{Worker: "default-0"}); err == nil {
		t.Error("a log without an expression was launched")
	}
}

func TestWatch(t *testing.T) {
	long := strings.Repeat("x", maxWatched)
	for _, tt := range []struct {
		name, expression string
		written          []string
		want             bool
	}{
		{"a line", "^ready$", []string{"ready\n"}, true},
		{"one of many", "^ready$", []string{"a\nready\nb\n"}, true},
		{"in pieces", "^ready$", []string{"a\nre", "ad", "y\nb"}, true},
		{"Windows' line end", "^ready$", []string{"ready\r\n"}, true},
		{"a part of it", "serving on", []string{"INFO serving on 1\n"}, true},
		{"not across lines", "a.b|a\nb", []string{"a\nb\n"}, false},
		{"not before its end", "ready", []string{"ready"}, false},
		{"at the end of the output", "ready", []string{"ready", "END"}, true},
		{"an empty line", "^$", []string{"a\n", "\n"}, true},
		{"the beginning of a long line", "^xx", []string{long, long, "\n"}, true},
		{"but not the end of it", "y", []string{long, "y\n"}, false},
		{"the line after it", "^y$", []string{long + "z\ny\n"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			when, err := ParseReady("log:" + tt.expression)
			if err != nil {
				t.Fatal(err)
			}
			w := newWatch(when.Line)
			for _, text := range tt.written {
				if text == "END" {
					w.look()
				} else if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
					t.Errorf("wrote %d of %d bytes, %v", n, len(text), err)
				}
			}
			select {
			case <-w.found:
				if !tt.want {
					t.Error("it was found")
				}
			default:
				if tt.want {
					t.Error("it was not found")
				}
			}
			if len(w.line) > maxWatched {
				t.Errorf("%d bytes are kept", len(w.line))
			}
		})
	}
}

func TestExitKinds(t *testing.T) {
	for _, tt := range []struct {
		exit Exit
		kind ExitKind
		text string
	}{
		{Exit{}, ExitClean, "exit 0"},
		{Exit{Code: 3}, ExitError, "exit 3"},
		{Exit{Code: -1}, ExitUnknown, "exit -1"},
		{Exit{Signal: syscall.SIGSEGV}, ExitSignal, "SIGSEGV"},
		{Exit{Signal: syscall.SIGKILL}, ExitSignal, "SIGKILL"},
		{Exit{Signal: syscall.SIGKILL, OutOfMemory: true}, ExitOutOfMemory, "SIGKILL (out of memory)"},
		{Exit{Signal: syscall.SIGKILL, OutOfMemory: true, Expected: true}, ExitOutOfMemory, "SIGKILL (out of memory)"},
		{Exit{Code: 143, Expected: true}, ExitExpected, "exit 143"},
		{Exit{Signal: syscall.SIGTERM, Expected: true}, ExitExpected, "SIGTERM"},
	} {
		if diff := cmp.Diff([]string{string(tt.kind), tt.text}, []string{string(tt.exit.Kind()), tt.exit.String()}); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.exit, diff)
		}
	}
}
