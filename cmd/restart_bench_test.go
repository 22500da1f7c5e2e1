package cmd

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

// BenchmarkRestart measures, in turn, the restart of a worker (snakepit restart, by
// its own account of the phases and as a whole process) and the floor: a plain
// Python gRPC server that is sent TERM, waited for, and started again on its port
// until its health RPC answers. Where workers are forked, the server is a fork of a
// bare Python process that has made its imports. In milliseconds; ratio-p95 is p95 over
// p95, ratio the median of each pair's.
//
//	go test ./cmd -run '^$' -bench 'Restart/' -benchtime 200x
func BenchmarkRestart(b *testing.B) {
	for _, method := range startMethods() {
		b.Run(method, func(b *testing.B) { benchmarkRestart(b, method) })
	}
}

func benchmarkRestart(b *testing.B, method string) {
	s := newCrashSandbox(b).startsBy(method)
	id := newRunID(b)
	out := s.mustRun(b, "", "start", "-d", "--workers", "1", "--run-id", id, "-o", "json")
	list, err := parsePromised(out)
	if err != nil {
		b.Fatal(err)
	}
	worker := list.Runs[0].Pools[0].Workers[0]
	var plain floor = startBareServer(b, managedPython(b))
	if method == "forkserver" {
		plain = startBareForks(b, managedPython(b))
	}

	series := map[string][]float64{}
	note := func(name string, ms float64) { series[name] = append(series[name], ms) }
	pid := worker.PID
	for range b.N {
		began := time.Now()
		text := s.mustRun(b, "", "restart", worker.ID, "--run-id", id, "-o", "json")
		note("command", milliseconds(began))
		ours := onlyRestart(b, text)
		if ours.Worker != worker.ID || ours.OldPID != pid || ours.NewPID == pid || ours.Port != worker.Port {
			b.Fatalf("PID %d on port %d became %+v", pid, worker.Port, ours)
		}
		pid = ours.NewPID
		note("total", ours.TotalMS)
		note("stop", ours.StopMS)
		note("release", ours.ReleaseMS)
		note("start", ours.StartMS)

		began = time.Now()
		plain.stop(b)
		stopped := milliseconds(began)
		plain.start(b)
		total := milliseconds(began)
		note("floor-total", total)
		note("floor-stop", stopped)
		note("floor-start", total-stopped)
		note("ratio", ours.TotalMS/total)
	}
	b.ReportMetric(0, "ns/op")
	reportRestarts(b, series)
	s.mustRun(b, "", "stop", "--run-id", id)
	s.mustBeClean(b)
}

func reportRestarts(b *testing.B, series map[string][]float64) {
	b.Helper()
	b.ReportMetric(median(series["ratio"]), "ratio")
	delete(series, "ratio")
	b.ReportMetric(quantile(series["total"], 0.95)/quantile(series["floor-total"], 0.95), "ratio-p95")
	for name, values := range series {
		b.ReportMetric(quantile(values, 0.50), name+"-p50-ms")
		b.ReportMetric(quantile(values, 0.95), name+"-p95-ms")
		b.ReportMetric(quantile(values, 0.99), name+"-p99-ms")
	}
}

type measuredRestart struct {
	Worker    string  `json:"worker"`
	OldPID    int     `json:"old_pid"`
	NewPID    int     `json:"new_pid"`
	Port      int     `json:"port"`
	StopMS    float64 `json:"stop_ms"`
	ReleaseMS float64 `json:"release_ms"`
	StartMS   float64 `json:"start_ms"`
	TotalMS   float64 `json:"total_ms"`
}

// onlyRestart reads what restart prints about one worker.
func onlyRestart(b *testing.B, text string) measuredRestart {
	b.Helper()
	var document struct {
		Restarted []measuredRestart `json:"restarted"`
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		b.Fatalf("restart printed %q: %v", text, err)
	}
	if len(document.Restarted) != 1 {
		b.Fatalf("not one restart: %s", text)
	}
	return document.Restarted[0]
}

// bareScript is the least that does a worker's work in Python: it has the worker's
// imports (but for snakepit's own modules), serves the health RPC, says when it
// does, and leaves at TERM without the interpreter's teardown, as a worker does.
const bareScript = `
import os, signal, sys
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
import base64, contextlib, contextvars, faulthandler, fnmatch, importlib, inspect, json
import queue, select, socket, subprocess, threading, traceback, typing
from concurrent.futures import ThreadPoolExecutor
import grpc
from google.protobuf import any_pb2, timestamp_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

class Health(health_pb2_grpc.HealthServicer):
    def Check(self, request, context):
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

server = grpc.server(ThreadPoolExecutor(max_workers=32), options=[("grpc.so_reuseport", 0)])
health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
server.stop(None).wait()
os._exit(0)
`

// floor is what restarts are compared with.
type floor interface {
	start(*testing.B)
	stop(*testing.B)
}

// bareServer is the floor's process and the port that it keeps.
type bareServer struct {
	python, script string
	port           int
	process        *exec.Cmd
}

// startBareServer returns a server that answers. It ends with the benchmark.
func startBareServer(b *testing.B, python string) *bareServer {
	b.Helper()
	// A file, because Python compiles it as it does the worker's entry point.
	script := b.TempDir() + "/bare_server.py"
	if err := os.WriteFile(script, []byte(bareScript), 0o600); err != nil {
		b.Fatal(err)
	}
	ports, err := portcheck.FreePorts("127.0.0.1", 1)
	if err != nil {
		b.Fatal(err)
	}
	s := &bareServer{python: python, script: script, port: ports[0]}
	b.Cleanup(func() {
		if s.process != nil && s.process.ProcessState == nil {
			_ = s.process.Process.Kill()
			_ = s.process.Wait() // says that it was killed
		}
	})
	s.start(b)
	return s
}

func (s *bareServer) start(b *testing.B) {
	b.Helper()
	cmd := exec.Command(s.python, s.script, strconv.Itoa(s.port))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	s.process = cmd
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		b.Fatalf("the bare server said %q: %v", line, err)
	}
	mustBeHealthy(b, s.port)
}

func mustBeHealthy(b *testing.B, port int) {
	b.Helper()
	client, err := pool.ConnectBridge("127.0.0.1", port)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	if err := client.Healthy(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func (s *bareServer) stop(b *testing.B) {
	b.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		b.Fatal(err)
	}
}

// forkScript has the imports of bareScript, and forks a server for each port that it
// reads; an empty line ends it.
const forkScript = `
import os, signal, sys
script = sys.argv[1]
lines = open(script).read().split("server = ", 1)
exec(compile(lines[0], script, "exec"))
import gc, grpc._server, encodings.idna
body = compile("server = " + lines[1], script, "exec")
gc.collect()
gc.freeze()
for line in sys.stdin:
    if line.strip():
        pid = os.fork()
        if not pid:
            sys.argv[1] = line.strip()
            exec(body)
    else:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        print("stopped", flush=True)
`

// bareForks are servers that a bare Python process forks, one after the other on the
// same port.
type bareForks struct {
	port int
	to   io.Writer
	from *bufio.Reader
}

func startBareForks(b *testing.B, python string) *bareForks {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{"bare.py": bareScript, "forks.py": forkScript} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	ports, err := portcheck.FreePorts("127.0.0.1", 1)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(python, dir+"/forks.py", dir+"/bare.py")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	to, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its group: nobody has waited for it yet
		_ = cmd.Wait()                                      // says that it was killed
	})
	f := &bareForks{port: ports[0], to: to, from: bufio.NewReader(out)}
	f.start(b)
	return f
}

func (f *bareForks) say(b *testing.B, text, answer string) {
	b.Helper()
	if _, err := io.WriteString(f.to, text+"\n"); err != nil {
		b.Fatal(err)
	}
	if line, err := f.from.ReadString('\n'); line != answer+"\n" {
		b.Fatalf("the bare forks said %q: %v", line, err)
	}
}

func (f *bareForks) start(b *testing.B) {
	b.Helper()
	f.say(b, strconv.Itoa(f.port), "ready")
	mustBeHealthy(b, f.port)
}

func (f *bareForks) stop(b *testing.B) {
	b.Helper()
	f.say(b, "", "stopped")
}
