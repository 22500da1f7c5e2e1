package supervisor

import (
	"maps"
	"os"
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
	inherited := os.Environ()
	if python.Source == pyenv.SourceManaged {
		// It points to the library of another interpreter, and would break ours.
		inherited = slices.DeleteFunc(inherited, func(entry string) bool { return strings.HasPrefix(entry, "PYTHONHOME=") })
	}
	return func(spec pool.Spec) pool.Command {
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
		return pool.Command{Path: python.Python, Args: args, Env: workerEnv(inherited, p.Env, spec, key)}
	}
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
