package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adrg/xdg"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snakepit-dev/snakepit/internal/config"
)

// TestScripts tells stories: testdata/script/*.txtar drive the real binary with
// real Python workers. Each story has a state directory of its own, and none
// may leave a process, a port or a living run behind, or harm who stands beside it.
func TestScripts(t *testing.T) {
	managedPython(t) // made here, so that no story waits for another to make it
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "testdata", "script"),
		Setup:               setUpStory,
		Cmds:                storyCommands(),
		Condition:           storyCondition,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// bystandersKey is where a story has its bystanders.
type bystandersKey struct{}

// setUpStory makes the environment of a story. RUN is a run id that no other
// story has: markers are seen by everybody on the machine. BIN is where the
// binary lies.
func setUpStory(env *testscript.Env) error {
	id, err := config.NewRunID()
	if err != nil {
		return err
	}
	binary, err := exec.LookPath("snakepit")
	if err != nil {
		return err
	}
	// Not in WORK, whose path is too long for a socket.
	runtime, err := os.MkdirTemp("", "pit")
	if err != nil {
		return err
	}
	beside, err := newBystanders("t-" + id)
	if err != nil {
		return err
	}
	env.Values[bystandersKey{}] = beside
	state := filepath.Join(env.WorkDir, "state")
	env.Defer(func() {
		defer os.RemoveAll(runtime)
		left := cleanUp(runsIn(state), beside.has)
		if text := beside.without(); text != "" {
			env.T().Log(text)
		}
		if err := beside.end(); err != nil {
			left = append(left, err.Error())
			env.T().Log(err) // even if the story has failed already
		}
		// One that has failed stopped in the middle.
		if failed := env.T().(interface{ Failed() bool }).Failed(); len(left) > 0 && !failed {
			env.T().Fatal("the story left behind: ", strings.Join(left, "\n"))
		}
	})
	env.Setenv("RUN", "t-"+id)
	env.Setenv("BIN", filepath.Dir(binary))
	env.Setenv("XDG_STATE_HOME", state)
	env.Setenv("XDG_RUNTIME_DIR", runtime)
	env.Setenv("XDG_CACHE_HOME", xdg.CacheHome)
	env.Setenv(startMethodVariable, os.Getenv(startMethodVariable))
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		env.Setenv("GOCOVERDIR", dir) // where the coverage of these processes goes
	}
	if os.Getenv("GORACE") == "" {
		env.Setenv("GORACE", "atexit_sleep_ms=10") // the race detector sleeps a second at each exit
	}
	return nil
}

// storyCondition knows [root]: nothing is forbidden to that user.
func storyCondition(condition string) (bool, error) {
	if condition == "root" {
		return os.Getuid() == 0, nil
	}
	return false, &exec.Error{Name: condition, Err: exec.ErrNotFound}
}
