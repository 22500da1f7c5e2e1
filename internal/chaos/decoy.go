package chaos

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// decoy is a bystander: a process that looks like one of a run to those who do not
// look closely. It must live through every scenario.
type decoy struct {
	process
	what string
	cmd  *exec.Cmd
	in   io.Closer // it ends at the end of its input, so also when we do
}

// shell only waits, here, for the end of its input; the rest of its arguments are
// for those who read them.
const shell = "/bin/sh"

// startDecoys starts bystanders that carry the run id of the first run.
func (s *stage) startDecoys() error {
	id := s.newRun().id
	const flag = "--snakepit-run-id"
	script := filepath.Join(s.dir, "w", "grpc_server.py")
	if err := os.WriteFile(script, []byte("read x\n"), 0o600); err != nil {
		return fmt.Errorf("cannot start the bystanders: %w", err)
	}
	another := []string{"SNAKEPIT_RUN_ID=" + id + "2", "SNAKEPIT_WORKER_ID=default-0"}
	return errors.Join(
		s.startDecoy("a shell with the marker inside of an argument", nil, "-c", "read x # "+flag+" "+id),
		s.startDecoy("a process with the marker as arguments, and no second sign", nil, "-c", "read x", "--", flag, id),
		s.startDecoy("an editor of a worker's script", nil, "-c", "read x", "--", "vim", "grpc_server.py "+flag+" "+id),
		s.startDecoy("a process with the run id in its environment", []string{"SNAKEPIT_RUN_ID=" + id}, "-c", "read x"),
		s.startDecoy("a child of a run whose id begins like this one's", another, "-c", "read x"),
		s.startDecoy("a worker of a run whose id begins like this one's", another, script, flag, id+"2"),
	)
}

func (s *stage) startDecoy(what string, env []string, args ...string) error {
	cmd := exec.Command(shell, args...)
	cmd.Dir = filepath.Join(s.dir, "w")
	cmd.Env = append(s.baseEnv(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is not for it
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot start a bystander: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start a bystander: %w", err)
	}
	d := &decoy{what: what, cmd: cmd, in: in}
	s.decoys = append(s.decoys, d)
	if d.process, err = lookup(cmd.Process.Pid); err != nil {
		return fmt.Errorf("cannot start a bystander: PID %d: %w", cmd.Process.Pid, err)
	}
	return nil
}

func (s *stage) isDecoy(id ident) bool {
	return slices.ContainsFunc(s.decoys, func(d *decoy) bool { return d.ident == id })
}

// checkDecoys looks whether all bystanders are as they were.
func (s *stage) checkDecoys() {
	c := Check{Name: checkOthers, Passed: true, Detail: fmt.Sprintf("%d look-alikes are as they were", len(s.decoys))}
	for _, d := range s.decoys {
		now, err := lookup(d.pid)
		if err != nil || now.ident != d.ident || now.dead() || now.halted() {
			c.Passed, c.Detail = false, fmt.Sprintf("%s was harmed: PID %d", d.what, d.pid)
		}
	}
	s.check(c)
}

// end lets it go.
func (d *decoy) end() error {
	err := d.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = d.cmd.Process.Kill() }) // Wait says what became of it
	defer timer.Stop()
	var exited *exec.ExitError
	if failed := d.cmd.Wait(); !errors.As(failed, &exited) {
		err = errors.Join(err, failed)
	}
	if err != nil {
		return fmt.Errorf("cannot end a bystander, PID %d: %w", d.pid, err)
	}
	return nil
}
