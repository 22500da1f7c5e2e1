package cmd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// nobody is the user id that owns nothing on most systems.
const nobody = 65534

// decoy is what a process looks like that is not to be harmed.
type decoy struct {
	what    string
	program string // which waits for the end of its standard input
	args    []string
	env     []string
	uid     uint32 // 0: ours
}

// impostors only mention the run, or belong to a run of a similar name. They
// stand beside a run from before its start to after its end.
func impostors(id string) []decoy {
	flag := procscan.RunIDFlag
	return []decoy{
		{what: "an editor with the flag in one long argument", program: "sh", args: []string{"vim", "-c", "read x", "fix " + flag + " " + id + " in grpc_server.py"}},
		{what: "grep", program: "grep", args: []string{"grep", "--", flag, id, "-"}},
		{what: "a search in the worker's script", program: "sh", args: []string{"grep", "-c", "read x", "--", flag, id, "grpc_server.py"}},
		{what: "a shell that would start a worker", program: "sh", args: []string{"sh", "-c", "read x; : python3 grpc_server.py " + flag + " " + id + " x"}},
		{what: "a shell that has exported the run id", program: "sh", args: []string{"sh", "-c", "read x"}, env: []string{procscan.RunIDEnv + "=" + id}},
		{what: "grep of another user", program: "grep", args: []string{"grep", "--", flag, id, "-"}, uid: nobody},
		likeWorker("a worker of a run whose id begins with this one", id+"9"),
		likeWorker("a worker of a run whose id this one begins with", id[:len(id)-1]),
	}
}

// namesakes are workers of other runs that have the same name: of another user,
// of another state directory, of a host that sets no variables. Beside them, a
// start of this name is refused.
func namesakes(id string) []decoy {
	theirs := likeWorker("a worker of another user's run of this name", id)
	theirs.uid = nobody
	elixir := likeWorker("a worker of another host's run of this name", id)
	elixir.env = nil
	return []decoy{theirs, likeWorker("a worker of another run of this name", id), elixir}
}

// likeWorker shows all that a worker of a run of this name does.
func likeWorker(what, id string) decoy {
	return decoy{
		what: what, program: "sh",
		args: []string{"python3", "-c", "read x", "/opt/app/grpc_server.py", procscan.RunIDFlag, id, "--worker-id", "default-0"},
		env:  []string{procscan.RunIDEnv + "=" + id, procscan.WorkerIDEnv + "=default-0", procscan.RunKeyEnv + "=anotherone"},
	}
}

// decoys are processes that nobody may harm. They are children of the test and
// end with it, however it ends: their standard input closes then.
type decoys struct {
	in, out *os.File // the pipe that is their standard input
	stand   []*standing
	skipped []string // who could not be started here, and why
}

// standing is a decoy that was started.
type standing struct {
	what  string
	seen  seenProcess
	ended chan error // has its end, which should not come
}

func newDecoys(list []decoy) (d *decoys, err error) {
	d = &decoys{}
	if d.in, d.out, err = os.Pipe(); err != nil {
		return nil, err
	}
	for _, one := range list {
		if one.uid != 0 && os.Getuid() != 0 {
			d.skipped = append(d.skipped, one.what+": only root can start it")
		} else if err := d.start(one); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot start %s: %w", one.what, err), d.end())
		}
	}
	return d, nil
}

func (d *decoys) start(one decoy) error {
	cmd := exec.Command(one.program)
	cmd.Args, cmd.Dir, cmd.Stdin = one.args, "/", d.in
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, one.env...)
	if one.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: one.uid, Gid: one.uid}}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s := &standing{what: one.what, ended: make(chan error, 1)}
	s.seen.PID = cmd.Process.Pid
	d.stand = append(d.stand, s)
	var err error
	s.seen, err = seeProcess(cmd.Process.Pid)
	go func() { s.ended <- cmd.Wait() }()
	return err
}

// has says that the PID is that of a decoy that stands.
func (d *decoys) has(pid int) bool {
	return d != nil && slices.ContainsFunc(d.stand, func(s *standing) bool { return s.seen.PID == pid })
}

// harmed names whoever is not as it was when it was started.
func (d *decoys) harmed() error {
	var all []error
	for _, s := range d.stand {
		if err := s.seen.unharmed(); err != nil {
			all = append(all, fmt.Errorf("%s was harmed: %w", s.what, err))
		}
	}
	return errors.Join(all...)
}

// end looks for the last time and ends all. It is by itself that they end, not
// by a signal.
func (d *decoys) end() error {
	all := []error{d.harmed(), d.out.Close()}
	for _, s := range d.stand {
		var exit *exec.ExitError
		if err := <-s.ended; errors.As(err, &exit) && exit.ExitCode() < 0 {
			all = append(all, fmt.Errorf("%s, PID %d, was ended: %w", s.what, s.seen.PID, err))
		}
	}
	d.stand = nil
	return errors.Join(append(all, d.in.Close())...)
}
