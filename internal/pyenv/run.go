package pyenv

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type command struct {
	path           string
	args           []string
	dir            string // "" for ours
	env            []string
	stdin          string
	stdout, stderr io.Writer // the same writer twice gets both in order
}

// run runs c to its end, in a process group of its own with nothing but c.stdin to read.
// A cancelled ctx kills the group. When we are killed ourselves, the kernel
// kills the child (Linux only), but not the child's children.
func run(ctx context.Context, c command) error {
	// The parent-death signal comes when the *thread* that forked ends
	// (golang/go#27505), so the thread must live as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, c.stdout, c.stderr
	cmd.SysProcAttr = childAttributes()
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	cmd.WaitDelay = time.Second // a grandchild that left the group may hold our pipes
	cmd.Cancel = func() error {
		// Once the leader was waited for, its number may belong to another.
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			return err
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // the child itself ended well
	}
	return err
}

// inherited is the environment of workers, for interpreters that are the
// user's own: PYTHONPATH is part of what makes them serve.
func inherited() []string { return os.Environ() }

// isolated is the environment for making an environment. What points Python
// at other packages goes, and so does what points an installer at another
// place; index, proxy and certificate settings stay.
func isolated() []string {
	dropped := []string{
		"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__",
		"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_DRY_RUN",
		"UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_BREAK_SYSTEM_PACKAGES", "UV_TARGET",
	}
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(dropped, name)
	})
	// A pip.conf may say user = true too, and the environment outranks it.
	return append(env, "PIP_USER=0")
}
