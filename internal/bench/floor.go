package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// script is a process of the floor.
type script struct {
	session *session
	cmd     *exec.Cmd
	in      io.WriteCloser
	said    *bufio.Reader
	errors  strings.Builder
	pid     int
	port    int
}

// runScript starts one of the floor's scripts, and returns once it has said its first word.
func (s *session) runScript(ctx context.Context, name string, args ...string) (*script, error) {
	f := &script{session: s}
	f.cmd = exec.Command(s.opts.Python, append([]string{filepath.Join(s.scripts, name)}, args...)...)
	f.cmd.Dir = s.opts.WorkDir
	path := strings.Join(append([]string{s.scripts}, s.opts.Path...), string(filepath.ListSeparator))
	f.cmd.Env = append(s.environment(), "PYTHONPATH="+path, "GRPC_ENABLE_FORK_SUPPORT=0")
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us
	f.cmd.Stderr = &f.errors
	in, err := f.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.in, f.said = in, bufio.NewReader(out)
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", name, err)
	}
	s.floors = append(s.floors, f)
	context.AfterFunc(ctx, func() { _ = in.Close() }) // it ends, and so does who waits for its word
	_, f.pid, f.port, err = f.hear()
	if err != nil {
		f.kill()
		return nil, fmt.Errorf("%s: %w\n%s", name, err, strings.TrimSpace(f.errors.String()))
	}
	return f, nil
}

// hear reads one line: a word, a PID, a port.
func (f *script) hear() (word string, pid, port int, err error) {
	line, err := f.said.ReadString('\n')
	if err != nil {
		return "", 0, 0, fmt.Errorf("it ended: %w", err)
	}
	_, err = fmt.Sscan(line, &word, &pid, &port)
	return word, pid, port, err
}

// kill ends the script, and with it its children: each ends when its input does.
func (f *script) kill() {
	_ = f.in.Close()                   // it may have ended
	_, _ = io.Copy(io.Discard, f.said) // until nobody can say anything
	_ = f.cmd.Wait()                   // says how it ended
	f.forget()
}

func (f *script) forget() {
	f.session.floors = slices.DeleteFunc(f.session.floors, func(other *script) bool { return other == f })
}

// startServer starts a plain server, and returns once it answers.
func (s *session) startServer(ctx context.Context, port int, module string) (*script, error) {
	args := []string{strconv.Itoa(port)}
	if module != "" {
		args = append(args, module)
	}
	f, err := s.runScript(ctx, "server.py", args...)
	if err != nil {
		return nil, err
	}
	if err := healthy(ctx, f.port); err != nil {
		f.kill()
		return nil, err
	}
	return f, nil
}

// stop has a plain server leave as a worker does.
func (f *script) stop() error {
	defer f.forget()
	err := f.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, f.cmd.Wait())
}

// fork has a forking script fork a server, and returns once that answers.
func (f *script) fork(ctx context.Context, port int) (pid, bound int, err error) {
	if _, err := fmt.Fprintln(f.in, "start", port); err != nil {
		return 0, 0, err
	}
	if _, pid, bound, err = f.hear(); err != nil {
		return 0, 0, err
	}
	return pid, bound, healthy(ctx, bound)
}

// end has a forking script end one of its servers.
func (f *script) end(pid int) error {
	if _, err := fmt.Fprintln(f.in, "stop", pid); err != nil {
		return err
	}
	word, gone, _, err := f.hear()
	if err == nil && (word != "gone" || gone != pid) {
		err = fmt.Errorf("it said %q of PID %d, not that PID %d is gone", word, gone, pid)
	}
	return err
}

// healthy returns nil when the server on this port answers the health RPC.
func healthy(ctx context.Context, port int) error {
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	return err
}
