package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/snakepit-dev/snakepit/pkg/pool/bridgepb"
)

// foreignRoles are programs that know nothing of this package. They live until
// they are told to end, and end with their lifeline, for the tests' sake.
func foreignRoles() map[string]func() {
	return map[string]func(){
		"foreign-tcp":      func() { hang(listen()) },
		"foreign-shares":   func() { l := listenShared(os.Getenv(portEnv)); said("shares"); hang(l) },
		"foreign-health":   func() { serveGRPC(health.NewServer(), nil) },
		"foreign-late":     func() { serveGRPC(&lateHealth{}, nil) },
		"foreign-bare":     func() { serveGRPC(nil, nil) },
		"foreign-bridge":   func() { serveGRPC(health.NewServer(), &bridgeWorker{left: make(chan struct{})}) },
		"foreign-silent":   func() { said("silent"); hang(nil) },
		"foreign-stays":    foreignStays,
		"foreign-astray":   func() { l, _ := net.Listen("tcp", "127.0.0.1:0"); fmt.Println("astray", portOf(l)); hang(l) },
		"foreign-dies":     dieEarly,
		"foreign-says":     func() { fmt.Print("starting\nServing on 50", "051\n"); hang(nil) },
		"foreign-last":     func() { fmt.Print("Serving on 5"); closeOutput(); hang(nil) },
		"foreign-closes":   func() { fmt.Println("starting"); closeOutput(); hang(listen()) },
		"foreign-child":    func() { foreignSpawn(false) },
		"foreign-session":  func() { foreignSpawn(true) },
		"foreign-listener": func() { said("child"); hang(listen()) },
	}
}

// hang keeps the listener, if there is one, and ends with the lifeline.
func hang(net.Listener) {
	fd, err := strconv.Atoi(os.Getenv("SNAKEPIT_LIFELINE_FD"))
	if err != nil || os.Getenv("SNAKEPIT_READY_FD") != "" {
		os.Exit(92)
	}
	for {
		n, err := syscall.Read(fd, make([]byte, 1))
		if n == 0 && err == nil || err != nil && err != syscall.EINTR {
			os.Exit(0)
		}
	}
}

func foreignStays() {
	if _, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv(portEnv)); err != nil {
		fmt.Println("stays", os.Getpid())
	}
	hang(nil)
}

func closeOutput() {
	_ = os.Stdout.Close()
	_ = os.Stderr.Close()
}

// listenShared listens as a gRPC server does: beside others that do so too.
func listenShared(port string) net.Listener {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var failed error
		return errors.Join(conn.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}), failed)
	}}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(97)
	}
	return listener
}

func serveGRPC(healthy healthpb.HealthServer, bridge bridgepb.BridgeServiceServer) {
	server := grpc.NewServer()
	if healthy != nil {
		healthpb.RegisterHealthServer(server, healthy)
	}
	if bridge != nil {
		bridgepb.RegisterBridgeServiceServer(server, bridge)
	}
	listener := listen()
	go func() { _ = server.Serve(listener) }()
	hang(listener)
}

// lateHealth says that it serves when it is asked for the fourth time.
type lateHealth struct {
	healthpb.UnimplementedHealthServer
	asked atomic.Int32
}

func (h *lateHealth) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if h.asked.Add(1) < 4 {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	fmt.Println("asked", h.asked.Load())
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// foreignSpawn leaves the listening to a child, and waits for it. The child's
// lifeline is ours, so that it does not outlive us, in whatever session it is.
func foreignSpawn(session bool) {
	self, err := os.Executable()
	if err != nil {
		os.Exit(95)
	}
	lifeline, keep, err := os.Pipe()
	if err != nil {
		os.Exit(95)
	}
	defer keep.Close()
	child := exec.Command(self)
	child.Env = append(os.Environ(), roleEnv+"=foreign-listener", "SNAKEPIT_LIFELINE_FD=3")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{lifeline}
	if err := child.Run(); err != nil {
		os.Exit(95)
	}
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// launchForeign launches a program that is ready when it is ready.
func launchForeign(t *testing.T, role, ready string, port int) launched {
	t.Helper()
	when, err := ParseReady(ready)
	if err != nil {
		t.Fatal(err)
	}
	outputs := make(chan *memory, 1)
	l, err := NewExecLauncher(
		func(s Spec) Command {
			c := roleCommand(role)(s)
			c.Env = append(c.Env, "SNAKEPIT_READY_FD=7") // as if we were a worker ourselves
			c.Ready = when
			return c
		},
		func(Spec) (Output, error) { m := newMemory(); outputs <- m; return m, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return launchWith(t, l, outputs, port)
}
