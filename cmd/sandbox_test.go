package cmd

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adrg/xdg"

	"github.com/snakepit-dev/snakepit/internal/pyenv"
)

// sandbox is a place in which the real binary runs as a user would run it, with
// a state of its own and the user's cache, so that the Python environment is
// made once.
type sandbox struct {
	dir string // an empty working directory
	bin string // the binary
	env []string

	bystanders []*bystanders // who is not to be harmed by what happens in it
}

func newSandbox(tb testing.TB) *sandbox {
	tb.Helper()
	s, err := makeSandbox()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.remove() })
	return s
}

// makeSandbox is for those who outlive a test, and remove it themselves.
func makeSandbox() (*sandbox, error) {
	// Not tb.TempDir: its path is too long for a socket.
	base, err := os.MkdirTemp("", "pit")
	if err != nil {
		return nil, err
	}
	s := &sandbox{dir: filepath.Join(base, "work"), bin: filepath.Join(base, "bin", "snakepit")}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{s.dir, filepath.Dir(s.bin), filepath.Join(base, "run")} {
		err = errors.Join(err, os.Mkdir(dir, 0o700))
	}
	// The test binary is snakepit when it is called by that name.
	if err := errors.Join(err, os.Symlink(self, s.bin)); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		// SNAKEPIT_START_METHOD=spawn go test runs the same tests with spawned workers.
		ours := strings.HasPrefix(name, "SNAKEPIT_") && name != "SNAKEPIT_START_METHOD"
		if !ours && name != "VIRTUAL_ENV" && name != "PATH" && !strings.HasPrefix(name, "XDG_") {
			s.env = append(s.env, entry)
		}
	}
	s.env = append(s.env,
		"PATH="+filepath.Dir(s.bin)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"XDG_STATE_HOME="+filepath.Join(base, "state"),
		"XDG_RUNTIME_DIR="+filepath.Join(base, "run"),
		"XDG_CACHE_HOME="+xdg.CacheHome,
		"GORACE=atexit_sleep_ms=10", // the race detector sleeps a second at each exit
	)
	return s, nil
}

func (s *sandbox) remove() error { return os.RemoveAll(filepath.Dir(s.dir)) }

// command is a snakepit command line, not started yet.
func (s *sandbox) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.bin, args...)
	cmd.Args[0] = "snakepit"
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// managedPython is the interpreter that our own workers run in.
func managedPython(tb testing.TB) string {
	tb.Helper()
	return managedEnvironment(tb).Python
}

// managedEnvironment has it, and the worker package.
func managedEnvironment(tb testing.TB) pyenv.Environment {
	tb.Helper()
	env, err := pyenv.Resolve(tb.Context(), pyenv.Options{CacheDir: filepath.Join(xdg.CacheHome, "snakepit"), Path: os.Getenv("PATH")})
	if err != nil {
		tb.Fatal(err)
	}
	return env
}
