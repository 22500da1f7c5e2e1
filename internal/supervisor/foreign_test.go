package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/adrg/xdg"
	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

func TestForeignCommand(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	program := writeProgram(t, filepath.Join(dir, "bin", "server"))
	words := []string{"bin/server", "--listen={host}:{port}", "{worker}/{pool}/{run_id}", `{"json":"{other}"}`, "{port}{port}", "$HOME"}
	command, err := foreignCommand(words, "tcp", map[string]string{"MINE": "1", "SNAKEPIT_PORT": "x"}, "k")
	if err != nil {
		t.Fatal(err)
	}
	got := command(spec)
	want := []string{"--listen=127.0.0.1:4003", "default-3/default/demo", `{"json":"{other}"}`, "40034003", "$HOME"}
	if diff := cmp.Diff(want, got.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if got.Path != program || got.Dir != dir || got.Ready.By != pool.ReadyTCP {
		t.Errorf("it runs %s in %s, and is ready by %s", got.Path, got.Dir, got.Ready)
	}
	for _, entry := range []string{
		"MINE=1", "SNAKEPIT_PORT=4003",
		"SNAKEPIT_RUN_ID=demo", "SNAKEPIT_RUN_KEY=k", "SNAKEPIT_WORKER_ID=default-3",
	} {
		if !slices.Contains(got.Env, entry) {
			t.Errorf("its environment has no %s", entry)
		}
	}
	// Whoever looks for a run's processes must find it by its environment alone.
	m := procscan.ParseMarker(append([]string{got.Path}, got.Args...), got.Env)
	if m.RunID != "demo" || m.WorkerID != "default-3" || m.Key != "k" || !m.Condemns {
		t.Errorf("its marker is %+v", m)
	}
	if again := command(spec); !cmp.Equal(again.Args, got.Args) || words[1] != "--listen={host}:{port}" {
		t.Errorf("the words have changed: %q", words)
	}
}

func TestForeignCommandErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", "/nowhere")
	for _, tt := range []struct {
		words []string
		ready string
		text  string
	}{
		{nil, "", "it is empty"},
		{[]string{""}, "", `"" is not on PATH`},
		{[]string{"server"}, "", `"server" is not on PATH`},
		{[]string{"./server"}, "", "no such file"},
		{[]string{"/dev"}, "", "it is not an executable file"},
		{[]string{"/bin/sh"}, "soon", "it takes health, tcp or log:REGEX"},
		{[]string{"/bin/sh"}, "log:(", "missing closing )"},
	} {
		if _, err := foreignCommand(tt.words, tt.ready, nil, "k"); err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%q %q: got %v, want %q", tt.words, tt.ready, err, tt.text)
		}
	}
	command, err := foreignCommand([]string{"/bin/sh"}, "", nil, "k")
	if err != nil || command(spec).Ready.By != pool.ReadyHealth {
		t.Errorf("without a word, it is not health: %v", err)
	}
}

func TestFindProgram(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, name := range []string{filepath.Join(dir, "server"), filepath.Join(other, "server"), filepath.Join(other, "tool")} {
		writeProgram(t, name)
	}
	if err := os.WriteFile(filepath.Join(dir, "tool"), nil, 0o600); err != nil { // not executable
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"server", dir + ":" + other, filepath.Join(dir, "server")},
		{"server", other + ":" + dir, filepath.Join(other, "server")},
		{"tool", dir + ":" + other, filepath.Join(other, "tool")},
		{"server", ".:" + other, filepath.Join(other, "server")},
		{"server", "::", ""},
		{"./server", other, filepath.Join(dir, "server")},
		{"../" + filepath.Base(dir) + "/server", other, filepath.Join(dir, "server")},
		{filepath.Join(other, "tool"), dir, filepath.Join(other, "tool")},
		{"./tool", other, ""},
	} {
		if got, err := findProgram(tt.name, dir, tt.path); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s on %s: got %q, %v; want %q", tt.name, tt.path, got, err, tt.want)
		}
	}
}

// The pool's own PATH is that of its program.
func TestForeignCommandByThePoolsPath(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	dir := t.TempDir()
	program := writeProgram(t, filepath.Join(dir, "server"))
	command, err := foreignCommand([]string{"server"}, "", map[string]string{"PATH": dir}, "k")
	if err != nil {
		t.Fatal(err)
	}
	if got := command(spec).Path; got != program {
		t.Errorf("it runs %s", got)
	}
}

func writeProgram(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// plainPython is a gRPC server that knows nothing of this program.
const plainPython = `
import sys
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2_grpc

server = grpc.server(futures.ThreadPoolExecutor(2))
health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
server.add_insecure_port(sys.argv[2])
server.start()
print("listening on", sys.argv[2], flush=True)
server.wait_for_termination()
`

// A Python server of another make: started, one killed and replaced on its port,
// all stopped, nothing left.
func TestPlainPythonServers(t *testing.T) {
	if testing.Short() {
		t.Skip("may install packages")
	}
	python, err := pyenv.Resolve(t.Context(), pyenv.Options{CacheDir: filepath.Join(xdg.CacheHome, "snakepit"), Path: os.Getenv("PATH")})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("server.py", []byte(plainPython), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ready := range []string{"health", "tcp", `log:^listening on 127\.0\.0\.1:\d+$`} {
		t.Run(ready, func(t *testing.T) {
			command, err := foreignCommand([]string{python.Python, "server.py", "--listen", "{host}:{port}"}, ready, nil, "k")
			if err != nil {
				t.Fatal(err)
			}
			liveAndDie(t, command)
		})
	}
}

func liveAndDie(t *testing.T, command func(pool.Spec) pool.Command) {
	launcher, err := pool.NewExecLauncher(command, func(pool.Spec) (pool.Output, error) { return nowhere{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer launcher.Close()
	again := make(chan struct{}, 1)
	p, err := pool.New(pool.Options{
		RunID: "foreign", Workers: 2, Launcher: launcher, ReadyTimeout: time.Minute, ReleaseTimeout: time.Minute,
		Observer: observer(func(e pool.Event) {
			if e.Worker == "default-1" && e.Incarnation == 2 && e.To == pool.Ready {
				again <- struct{}{}
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(pool.StopOptions{Force: true})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := p.Status()
	if err := syscall.Kill(before[1].Process.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-again:
	case <-time.After(time.Minute):
		t.Fatalf("nobody took its place: %+v", p.Status())
	}
	after := p.Status()
	if after[1].Port != before[1].Port || after[1].LastExit != "SIGKILL" || after[0].Process != before[0].Process {
		t.Errorf("from %+v\nto %+v", before, after)
	}
	for _, r := range p.Stop(pool.StopOptions{Grace: time.Minute}) {
		if len(r.Survivors) != 0 || r.Err != "" {
			t.Errorf("stop of %+v", r)
		}
	}
	for _, s := range after {
		if _, err := procscan.Lookup(s.Process.PID); err == nil {
			t.Errorf("PID %d is still there", s.Process.PID)
		}
		if err := portcheck.Check(t.Context(), s.Host, s.Port); err != nil {
			t.Error(fmt.Errorf("the port of %s: %w", s.Worker, err))
		}
	}
}

// nowhere is an output that nobody reads.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Close() error                { return nil }
func (nowhere) Tail() []string              { return nil }
