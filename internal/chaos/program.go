package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// printed is what a command line came to.
type printed struct {
	words    []string
	code     int // -1: it was killed
	out, err string
	took     time.Duration
}

func (p printed) String() string {
	text := strings.TrimSpace(p.err)
	if lines := strings.Split(text, "\n"); len(lines) > 12 {
		text = "…\n" + strings.Join(lines[len(lines)-12:], "\n")
	}
	return fmt.Sprintf("snakepit %s: exit code %d\n%s", strings.Join(p.words, " "), p.code, text)
}

// exitUsage is of a command line or of settings that make no sense.
const exitUsage = 2

// why is its error, without what it has said before, and with what to do next.
func (p printed) why() string {
	text := strings.TrimSpace(p.err)
	if at := strings.LastIndex("\n"+text, "\nerror: "); at >= 0 {
		text = strings.TrimPrefix(text[at:], "error: ")
	}
	return text
}

// UnusableError is that start refuses the pool for its settings, before any pool of
// them was ever up: there is nothing to prove anything with.
type UnusableError struct{ Why string }

func (u *UnusableError) Error() string { return "this pool cannot be started: " + u.Why }

// claimsClean says whether it claims that nothing is left.
func (p printed) claimsClean() bool {
	return strings.Contains(p.err, "No orphaned processes") || strings.Contains(p.err, "found no survivors")
}

// baseEnv is the environment of every process of the stage: without what would
// make it part of another run, or give it another place.
func (s *stage) baseEnv() []string {
	drop := []string{
		"SNAKEPIT_RUN", "SNAKEPIT_RUN_ID", "SNAKEPIT_WORKER_ID", "SNAKEPIT_RUN_KEY", "SNAKEPIT_READY_FD",
		"SNAKEPIT_LIFELINE_FD", "SNAKEPIT_FORK_FD", "SNAKEPIT_READY_FILE", "SNAKEPIT_PORT", tokenVariable, "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
	}
	return slices.DeleteFunc(slices.Clone(s.opts.Env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(drop, name)
	})
}

// isPoolSetting tells a variable that would say something of a pool of ours.
func isPoolSetting(entry string) bool {
	name, _, _ := strings.Cut(entry, "=")
	kept := name == "SNAKEPIT_PYTHON" || name == "SNAKEPIT_START_METHOD" || strings.HasPrefix(name, "SNAKEPIT_TEST_")
	return strings.HasPrefix(name, "SNAKEPIT_") && !kept
}

// command is a command line about the run, not started yet.
func (r *run) command(ctx context.Context, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.stage.opts.Program, words...)
	cmd.Args[0] = "snakepit"
	cmd.Dir = r.stage.opts.WorkDir
	env := r.stage.baseEnv()
	if r.brought {
		env = slices.DeleteFunc(env, isPoolSetting)
	}
	cmd.Env = append(env,
		"XDG_STATE_HOME="+r.stage.stateHome(), "XDG_RUNTIME_DIR="+r.stage.dir+"/r", "NO_COLOR=1",
	)
	if words[0] == "start" {
		cmd.Env = append(cmd.Env, tokenVariable+"="+r.token) // all that comes of it inherits this
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us
	cmd.WaitDelay = time.Second
	return cmd
}

// snakepit runs a command line about the run to its end.
func (r *run) snakepit(ctx context.Context, words ...string) (printed, error) {
	return r.begin(ctx, words...)()
}

// begin starts a command line about the run, and returns the wait for its end.
func (r *run) begin(ctx context.Context, words ...string) func() (printed, error) {
	words = append(words, "--run-id", r.id)
	var out, err strings.Builder
	cmd := r.command(ctx, words...)
	cmd.Stdout, cmd.Stderr = &out, &err
	began := time.Now()
	r.stage.note("command", "snakepit %s", strings.Join(words, " "))
	failed := cmd.Start()
	return func() (printed, error) {
		if failed == nil {
			failed = cmd.Wait()
		}
		var exited *exec.ExitError
		if failed != nil && !errors.As(failed, &exited) {
			return printed{}, fmt.Errorf("cannot run snakepit %s: %w", words[0], failed)
		}
		p := printed{words, cmd.ProcessState.ExitCode(), out.String(), err.String(), time.Since(began)}
		r.stage.note("command", "%s", p)
		return p, nil
	}
}

// expect runs a command line that has to end with this exit code, or the scenario
// cannot go on.
func (r *run) expect(ctx context.Context, code int, words ...string) (printed, error) {
	p, err := r.snakepit(ctx, words...)
	if err == nil && p.code != code {
		err = fmt.Errorf("%s\nexit code %d was expected", p, code)
	}
	return p, err
}
