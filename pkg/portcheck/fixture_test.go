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

	"golang.org/x/sys/unix"
)

// The test binary starts itself as the other processes that the tests need.
// They end when the pipe that is their standard input closes.

const fixtureEnv = "PORTCHECK_FIXTURE"

var fixtures = map[string]func(host string, port int){
	"hold":             func(string, int) {}, // what it has inherited
	"listen":           func(host string, port int) { ready(listener(&net.ListenConfig{}, "tcp", host, port)) },
	"listen on IPv6":   func(host string, port int) { ready(listener(&net.ListenConfig{}, "tcp6", host, port)) },
	"listen and share": func(host string, port int) { ready(listener(sharing(), "tcp", host, port)) },
	"listen with a child": func(host string, port int) {
		l := listener(&net.ListenConfig{}, "tcp", host, port)
		leaveToChild(l)
		ready(l)
	},
	"check": func(host string, port int) {
		err := Check(context.Background(), host, port)
		fmt.Println("ready", errors.Is(err, ErrPermission), err)
	},
	"owners": func(host string, port int) { sayOwners(host, port) },
}

func listener(config *net.ListenConfig, network, host string, port int) net.Listener {
	l, err := config.Listen(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		fail(err)
	}
	return l
}

func ready(l net.Listener) { fmt.Println("ready", l.Addr().(*net.TCPAddr).Port) }

// leaveToChild starts a child that has the same socket, and the same standard
// input.
func leaveToChild(l net.Listener) {
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		fail(err)
	}
	self, err := os.Executable()
	if err != nil {
		fail(err)
	}
	child := exec.Command(self)
	child.Args = []string{"child", "", "0"}
	child.Env = []string{fixtureEnv + "=hold"}
	child.ExtraFiles = []*os.File{socket}
	child.Stdin = os.Stdin
	if err := child.Start(); err != nil {
		fail(err)
	}
}

func sayOwners(host string, port int) {
	owners, err := Owners(context.Background(), host, port)
	fmt.Println("ready", owners, err)
}

func fail(err error) {
	fmt.Println(err)
	os.Exit(1)
}

// sharing lets others who set SO_REUSEPORT listen on the same port.
func sharing() *net.ListenConfig { return with(unix.SO_REUSEPORT, 1) }

func with(option, value int) *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var set error
		err := conn.Control(func(fd uintptr) {
			set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, value)
		})
		return errors.Join(err, set)
	}}
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
func start(t testing.TB, name, host string, port int, attr *syscall.SysProcAttr) (cmd *exec.Cmd, said string, stop func()) {
	t.Helper()
	self := os.Args[0]
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // another user may not be able to reach the path
	}
	cmd = exec.Command(self)
	cmd.Args = []string{"holder", host, strconv.Itoa(port)}
	cmd.Env = []string{fixtureEnv + "=" + name, "GORACE=atexit_sleep_ms=0"}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("needs a right that this user has not: %v", err)
	}
	if err != nil {
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

// squat is a process that holds a port.
func squat(t testing.TB, name, host string, port int, attr *syscall.SysProcAttr) (cmd *exec.Cmd, held int, stop func()) {
	t.Helper()
	cmd, said, stop := start(t, name, host, port, attr)
	held, err := strconv.Atoi(said)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, held, stop
}

// nobody is a user without rights; only root can start a process of theirs.
func nobody(t testing.TB) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
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
