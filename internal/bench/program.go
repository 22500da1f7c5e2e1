package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// The start methods of workers, as start calls them.
const (
	methodForkserver = "forkserver"
	methodSpawn      = "spawn"
)

// environment is that of every process that we start: without what would make it part
// of another run, choose another pool, or give it another place.
func (s *session) environment() []string {
	env := slices.DeleteFunc(slices.Clone(s.opts.Env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "SNAKEPIT_") && !strings.HasPrefix(name, "SNAKEPIT_TEST_") ||
			name == "XDG_STATE_HOME" || name == "XDG_RUNTIME_DIR"
	})
	if s.mark != "" {
		env = append(env, s.mark)
	}
	return append(env, "XDG_STATE_HOME="+s.dir+"/s", "XDG_RUNTIME_DIR="+s.dir+"/r", "NO_COLOR=1")
}

// command is a command line of the program. When the context ends it is asked to end,
// and waited for: a start that is killed leaves a run behind.
func (s *session) command(ctx context.Context, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.opts.Program, words...)
	cmd.Args[0] = "snakepit"
	cmd.Dir, cmd.Env = s.opts.WorkDir, s.environment()
	if s.opts.Profile != "" {
		cmd.Env = append(cmd.Env, ProfileVariable+"="+s.opts.Profile)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// ProfileVariable names the directory into which a process of this program writes a
// profile of its processor time.
const ProfileVariable = "SNAKEPIT_CPUPROFILE"

// snakepit runs a command line to its end, and says how long the whole process took.
func (s *session) snakepit(ctx context.Context, words ...string) (out string, took float64, err error) {
	return timed(s.command(ctx, words...), 0)
}

// timed runs a command line that has to end with this exit code.
func timed(cmd *exec.Cmd, want int) (out string, took float64, err error) {
	var said, complained strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &complained
	began := time.Now()
	err = cmd.Run()
	took = milliseconds(began)
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == want {
		return said.String(), took, nil
	}
	return "", took, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(complained.String()))
}

// run is one run of the program.
type run struct {
	session    *session
	id         string
	supervisor procscan.ID
	guard      procscan.ID
	workers    []slot
}

type slot struct {
	ID   string `json:"id"`
	PID  int    `json:"pid"`
	Port int    `json:"port"`
}

// start starts a run of the pool, and says how long it took until all were ready.
func (s *session) start(ctx context.Context, workers int, method string, flags ...string) (*run, float64, error) {
	return s.startAs(ctx, workers, method, append(slices.Clone(s.opts.Flags), flags...))
}

func (s *session) startAs(ctx context.Context, workers int, method string, flags []string) (*run, float64, error) {
	r := &run{session: s, id: s.newID()}
	words := append([]string{
		"start", "-d", "-o", "json", "--run-id", r.id, "--workers", strconv.Itoa(workers), "--start-method", method,
	}, flags...)
	if method == methodSpawn { // whatever the file says of workers that are forked
		words = append(words, "--preload=false", "--standby", "0")
	}
	s.runs = append(s.runs, r)
	out, took, err := s.snakepit(ctx, words...)
	if err == nil {
		err = r.read(out, workers)
	}
	if err != nil {
		return nil, took, errors.Join(err, r.end(context.WithoutCancel(ctx)))
	}
	return r, took, nil
}

// read takes in what start or list prints of the run.
func (r *run) read(out string, workers int) error {
	var document struct {
		Runs []struct {
			Supervisor, Guard struct{ PID int }
			Pools             []struct {
				Ready   int
				Workers []slot
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		return fmt.Errorf("cannot read what start prints: %w", err)
	}
	if len(document.Runs) != 1 || len(document.Runs[0].Pools) != 1 || document.Runs[0].Pools[0].Ready != workers {
		return fmt.Errorf("start did not make one pool of %d ready workers: %s", workers, out)
	}
	seen := document.Runs[0]
	r.workers = seen.Pools[0].Workers
	var err error
	if r.supervisor, err = procscan.Lookup(seen.Supervisor.PID); err != nil {
		return err
	}
	if seen.Guard.PID != 0 {
		r.guard, err = procscan.Lookup(seen.Guard.PID)
	}
	return err
}

// stop stops the run as a user does.
func (r *run) stop(ctx context.Context) (float64, error) {
	_, took, err := r.session.snakepit(ctx, "stop", "--run-id", r.id)
	if err == nil {
		r.forget()
	}
	return took, err
}

func (r *run) forget() {
	r.session.runs = slices.DeleteFunc(r.session.runs, func(other *run) bool { return other == r })
}

// end makes sure that nothing of the run is left, whatever state it is in.
func (r *run) end(ctx context.Context) error {
	defer r.forget()
	_, _, _ = r.session.snakepit(ctx, "stop", "--force", "--run-id", r.id) // there may be nothing to stop
	cmd := r.session.command(ctx, "kill-orphans", "--yes", "--run-id", r.id)
	if _, _, err := timed(cmd, 0); err != nil && cmd.ProcessState.ExitCode() != exitNothing {
		return err
	}
	return nil
}

// exitNothing is the exit code that says that nothing matched.
const exitNothing = 3
