package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// workerCommand is the command line and the environment of a pool's workers.
// The run id is in both: the arguments show it, descendants inherit it.
func workerCommand(c config.Config, p config.Pool, python pyenv.Environment, key string) func(pool.Spec) pool.Command {
	inherited := inheritedFor(python.Source)
	program := func(spec pool.Spec, more ...string) pool.Command {
		args := []string{
			python.Entry,
			"--adapter", p.Adapter,
			"--host", spec.Host,
			"--port", strconv.Itoa(spec.Port),
			procscan.RunIDFlag, spec.RunID,
			"--worker-id", spec.Worker,
			"--grace", strconv.FormatFloat(max(0, spec.Grace.Seconds()), 'f', -1, 64),
		}
		for _, dir := range c.PythonPath {
			args = append(args, "--python-path", dir)
		}
		return pool.Command{Path: python.Python, Args: append(args, more...), Env: workerEnv(inherited, p.Env, spec, key)}
	}
	return func(spec pool.Spec) pool.Command {
		command := program(spec)
		if p.StartMethod == config.StartForkserver {
			command.Fork = forkserver(program, p, spec)
		}
		return command
	}
}

// forkserver is how the workers of a pool are forked.
func forkserver(program func(pool.Spec, ...string) pool.Command, p config.Pool, spec pool.Spec) *pool.Fork {
	more := []string{"--forkserver"}
	if p.Preload {
		more = append(more, "--preload")
	}
	spec.Worker, spec.Port = pool.ForkserverID(p.Name), 0
	server := program(spec, more...)
	return &pool.Fork{Args: server.Args, Env: server.Env, Standby: p.Standby}
}

// foreignCommand is that of a pool whose workers are any other program: its words,
// in which {port}, {host}, {worker}, {pool} and {run_id} stand for the worker's own.
// The program's name has no placeholders; it is looked up once, so that a wrong one
// is told before anything starts. Such a worker is marked by its environment alone,
// which holds its address, too.
//
// ready is what pool.ParseReady reads; empty means health. own is the pool's own
// environment.
func foreignCommand(words []string, ready string, own map[string]string, key string) (func(pool.Spec) pool.Command, error) {
	if len(words) == 0 {
		return nil, errors.New("it is empty")
	}
	when, err := pool.ParseReady(cmp.Or(ready, "health"))
	if err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	path, given := own["PATH"]
	if !given {
		path = os.Getenv("PATH")
	}
	program, err := findProgram(words[0], dir, path)
	if err != nil {
		return nil, err
	}
	inherited := os.Environ()
	return func(spec pool.Spec) pool.Command {
		port := strconv.Itoa(spec.Port)
		fill := strings.NewReplacer("{port}", port, "{host}", spec.Host, "{worker}", spec.Worker, "{pool}", spec.Pool, "{run_id}", spec.RunID)
		var args []string
		for _, word := range words[1:] {
			args = append(args, fill.Replace(word))
		}
		all := map[string]string{}
		maps.Copy(all, own)
		all["SNAKEPIT_PORT"] = port
		return pool.Command{Path: program, Args: args, Env: workerEnv(inherited, all, spec, key), Dir: dir, Ready: when}
	}, nil
}

// findProgram makes the name of a program absolute: relative to dir when it holds a
// slash, otherwise by the absolute entries of path. Relative entries are left out as
// in os/exec: what they name changes with the working directory.
func findProgram(name, dir, path string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if err := checkProgram(name); err != nil {
			return "", err
		}
		return name, nil
	}
	for _, entry := range filepath.SplitList(path) {
		if found := filepath.Join(entry, name); name != "" && filepath.IsAbs(entry) && checkProgram(found) == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%q is not on PATH", name)
}

// checkProgram returns nil for a file that one may run.
func checkProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return &fs.PathError{Op: "run", Path: path, Err: errors.New("it is not an executable file")}
	}
	return nil
}

// threadLimits keep numeric libraries from starting a thread for each core in
// each worker: 250 workers would start thousands, and fork would fail.
var threadLimits = []string{
	"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
}

// workerEnv puts together what was inherited, the defaults for what was not,
// the pool's own, and the markers, each over the one before.
func workerEnv(inherited []string, own map[string]string, spec pool.Spec, key string) []string {
	all := map[string]string{}
	for _, name := range threadLimits {
		all[name] = "1"
	}
	all["PYTHONUNBUFFERED"] = "1"
	for _, entry := range inherited {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "SNAKEPIT_READY_FILE" {
			all[name] = value
		}
	}
	maps.Copy(all, own)
	all[procscan.RunIDEnv] = spec.RunID
	all[procscan.WorkerIDEnv] = spec.Worker
	all[procscan.RunKeyEnv] = key
	env := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}
