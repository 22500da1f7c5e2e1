package portcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary starts itself as the other processes that the tests need.
// They end when the pipe that is their standard input closes.

const fixtureEnv = "PORTCHECK_FIXTURE"

var fixtures = map[string]func(host string, port int){
	"listen": func(host string, port int) {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			fmt.Println("cannot listen:", err)
			os.Exit(1)
		}
		fmt.Println("ready", l.Addr().(*net.TCPAddr).Port)
	},
	"check": func(host string, port int) {
		err := Check(context.Background(), host, port)
		fmt.Println("ready", errors.Is(err, ErrPermission), err)
	},
	"owners": func(host string, port int) {
		owners, err := Owners(context.Background(), host, port)
		fmt.Println("ready", owners, err)
	},
}

func TestMain(m *testing.M) {
	run, ok := fixtures[os.Getenv(fixtureEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	port, _ := strconv.Atoi(os.Args[2])
	run(os.Args[1], port)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// start runs a fixture until the test ends or stop is called, and returns what
// it said.
func start(t *testing.T, name, host string, port int, credential *syscall.Credential) (cmd *exec.Cmd, said string, stop func()) {
	t.Helper()
	self := os.Args[0]
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // another user may not be able to reach the path
	}
	cmd = exec.Command(self)
	cmd.Args = []string{"holder", host, strconv.Itoa(port)}
	cmd.Env = []string{fixtureEnv + "=" + name, "GORACE=atexit_sleep_ms=0"}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	said, ready := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ready {
		t.Fatalf("fixture %s said %q: %v", name, line, err)
	}
	return cmd, said, stop
}

// nobody is a user without rights; only root can start a process of theirs.
func nobody(t *testing.T) *syscall.Credential {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

// listenOn listens until the test ends, and returns the port.
func listenOn(t testing.TB, network, host string) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen(network, net.JoinHostPort(host, "0"))
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skipf("%s is no address of this machine", host)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

func freePort(t testing.TB, host string) int {
	t.Helper()
	ports, err := FreePorts(host, 1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

// soon is a context for what happens at once unless something is broken.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
