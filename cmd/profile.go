package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"

	"github.com/snakepit-dev/snakepit/internal/bench"
)

// profile writes a profile of the processor time of this process into the directory
// that the environment names, if it is one that bench wants to look at. The file is
// there once the process has ended in good order.
func (env *Env) profile(args []string) (stop func() error, err error) {
	dir := env.Getenv(bench.ProfileVariable)
	if dir == "" || len(args) == 0 || !slices.Contains([]string{"supervise", "orphans"}, args[0]) {
		return func() error { return nil }, nil
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", args[0], os.Getpid()))
	file, err := os.Create(path + ".part")
	if err != nil {
		return nil, fmt.Errorf("cannot write a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write a profile: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		if err := errors.Join(file.Close(), os.Rename(file.Name(), path)); err != nil {
			return fmt.Errorf("cannot write a profile: %w", err)
		}
		return nil
	}, nil
}
