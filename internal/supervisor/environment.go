package supervisor

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What workers would get, for those who look before anything is started.

// Environment is that of the workers of a pool, without the marks of a run.
func Environment(p config.Pool, source string) []string {
	return procscan.WithoutMarker(workerEnv(inheritedFor(source), p.Env, pool.Spec{}, ""))
}

// Program is the file that the command of a pool would start. A pool with an
// adapter has none.
func Program(p config.Pool) (string, error) {
	if len(p.Command) == 0 {
		return "", errors.New("the pool has no command")
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return findProgram(p.Command[0], dir, cmp.Or(p.Env["PATH"], os.Getenv("PATH")))
}

// inheritedFor is this process's environment, without what would break an
// interpreter of that source.
func inheritedFor(source string) []string {
	inherited := os.Environ()
	if source != pyenv.SourceManaged {
		return inherited
	}
	// It points to the library of another interpreter, and would break ours.
	return slices.DeleteFunc(inherited, func(entry string) bool { return strings.HasPrefix(entry, "PYTHONHOME=") })
}
