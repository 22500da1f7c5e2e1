package pool

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// portEnv carries the port of the Spec to a worker; 0: it need not listen.
const portEnv = "POOL_TEST_PORT"

// The descriptors of a worker. They are used as numbers: an os.File would close
// them when it is collected.
const (
	readyFD    = 3
	lifelineFD = 4
)

// workerRoles are the ways in which a worker can behave. All but those that
// exist to be deaf to it end with their lifeline.
func workerRoles() map[string]func() {
	return map[string]func(){
		"serve":          func() { obey(); sayReady(); awaitEnd() },
		"die-early":      dieEarly,
		"half-line":      func() { obey(); tell(`{"protocol":1,"ready":tr`); awaitEnd() },
		"close-output":   func() { obey(); _ = os.Stdout.Close(); _ = os.Stderr.Close(); sayReady(); awaitEnd() },
		"only-lifeline":  func() { signal.Ignore(syscall.SIGTERM); sayReady(); awaitEnd() },
		"only-term":      func() { sayReady(); select {} },
		"deaf":           func() { signal.Ignore(syscall.SIGTERM); sayReady(); select {} },
		"flood":          flood,
		"family":         func() { signal.Ignore(syscall.SIGTERM); spawn("child"); sayReady(); awaitEnd() },
		"leave-child":    func() { spawn("child") },
		"leave-stubborn": func() { spawn("stubborn-child") },
		"leave-session":  func() { spawn("session-child") },
		"keep-channel":   func() { obey(); spawn("channel-child"); sayReady(); awaitEnd() },

		"child":          func() { said("child"); awaitEnd() },
		"session-child":  func() { said("child"); awaitEnd() },
		"channel-child":  func() { said("child"); awaitEnd() },
		"stubborn-child": func() { signal.Ignore(syscall.SIGTERM); said("child"); awaitEnd() },
	}
}

// said tells the test who this is: "role PID".
func said(what string) { fmt.Println(what, os.Getpid()) }

// tell says something on the ready channel and closes it.
func tell(text string) {
	_, _ = syscall.Write(readyFD, []byte(text))
	_ = syscall.Close(readyFD)
}

// awaitEnd returns when the lifeline ends.
func awaitEnd() {
	for {
		n, err := syscall.Read(lifelineFD, make([]byte, 1))
		if n == 0 && err == nil || err != nil && err != syscall.EINTR {
			return
		}
	}
}

// obey exits with 0 on TERM.
func obey() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() {
		<-told
		os.Exit(0)
	}()
}

// sayReady listens on the port it was given, and says so.
func sayReady() {
	port, _ := strconv.Atoi(os.Getenv(portEnv))
	if port == 0 {
		port = 1
	} else {
		listener := listen()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_ = conn.Close()
			}
		}()
	}
	line, _ := json.Marshal(Readiness{Protocol: readyProtocol, Ready: true, PID: os.Getpid(), Port: port})
	tell(string(line) + "\n")
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv(portEnv))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(97)
	}
	return listener
}

func dieEarly() {
	fmt.Println("importing")
	fmt.Fprintln(os.Stderr, "ModuleNotFoundError: no module named 'numpy'")
	os.Exit(3)
}

// floodLines is how many lines of 100 bytes a flood has: about 1 MB.
const floodLines = 10_500

func floodLine(i int) string { return fmt.Sprintf("%08d %s", i, strings.Repeat("x", 90)) }

func flood() {
	for i := range floodLines {
		to := os.Stderr
		if i%2 == 0 {
			to = os.Stdout
		}
		if _, err := fmt.Fprintln(to, floodLine(i)); err != nil {
			os.Exit(96)
		}
	}
}

// spawn starts a child that inherits the lifeline, what is printed to, and, as
// a child of the group, a listener on the worker's port. It returns when the
// child has said who it is.
func spawn(role string) {
	self, err := os.Executable()
	if err != nil {
		os.Exit(95)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), roleEnv+"="+role)
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: role == "session-child"}
	child.Stderr = os.Stderr
	child.ExtraFiles = []*os.File{nil, copyOf(lifelineFD)}
	if role == "channel-child" {
		child.ExtraFiles[0] = copyOf(readyFD)
	}
	if os.Getenv(portEnv) != "0" {
		if file, err := listen().(*net.TCPListener).File(); err == nil {
			child.ExtraFiles = append(child.ExtraFiles, file)
		}
	}
	heard, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(95)
	}
	line := make([]byte, 64)
	n, _ := heard.Read(line)
	_, _ = os.Stdout.Write(line[:n])
}

func copyOf(fd int) *os.File {
	copied, err := syscall.Dup(fd)
	if err != nil {
		os.Exit(95)
	}
	syscall.CloseOnExec(copied)
	return os.NewFile(uintptr(copied), "copy")
}
