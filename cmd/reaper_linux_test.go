package cmd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// reaperEnv tells the worker whom to wait for.
const reaperEnv = "LEFT_REAPER"

// estateRoles are what the test binary is under these names: a host that dies and
// leaves its worker, and a child subreaper that takes it.
//
//	systemd RUN ─▶ left-host RUN ─▶ left-worker grpc_server.py --snakepit-run-id RUN
//
// The reaper stays until it is told to end; so does the worker, by the end of its
// input.
func estateRoles() map[string]func() {
	role := func(play func() error) func() {
		return func() {
			if err := play(); err != nil {
				fmt.Fprintln(os.Stderr, os.Args, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	return map[string]func(){"systemd": role(beReaper), "left-host": role(beHost), "left-worker": role(beWorker)}
}

// child is the test binary again.
func child(input io.Reader, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Stdin, cmd.Stderr = args, input, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

func beReaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	told := make(chan os.Signal, 100)
	signal.Notify(told, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	input, keep, err := os.Pipe()
	if err != nil {
		return err
	}
	defer keep.Close()
	if err := child(input, "left-host", os.Args[1]).Start(); err != nil {
		return err
	}
	_ = input.Close()
	for s := range told {
		if s != syscall.SIGCHLD {
			return nil
		}
		for got := 1; got > 0; { // all of them: it has no other business with its children
			got, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
	return nil
}

func beHost() error {
	worker := child(os.Stdin, "left-worker", "grpc_server.py", procscan.RunIDFlag, os.Args[1])
	worker.Env = append(os.Environ(), reaperEnv+"="+strconv.Itoa(os.Getppid()))
	return worker.Start()
}

// beWorker says its PID and port in a file that appears at once, when its host
// has ended.
func beWorker() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	for began := time.Now(); strconv.Itoa(os.Getppid()) != os.Getenv(reaperEnv); time.Sleep(time.Millisecond) { // nothing tells
		if time.Since(began) > time.Minute {
			return errors.New("nobody has adopted it")
		}
	}
	text := fmt.Sprintf(`{"pid": %d, "port": %d}`, os.Getpid(), listener.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile("started.tmp", []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Rename("started.tmp", "started"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
