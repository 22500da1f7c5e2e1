package cmd

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/snakepit-dev/snakepit/internal/config"
)

// addRunSettings adds the flags that are settings of the whole run.
func addRunSettings(flags *pflag.FlagSet) {
	setting := settingsOf(flags)
	setting("run-id", "name", "", "name of the run (default: a random one)")
	flags.StringArray("python-path", nil, "directory to import adapters from; may be repeated (default: the working directory)")
	setting("python", "path", "", "Python interpreter of the workers (default: the active virtual environment, else a managed one)")
	setting("host", "address", config.DefaultHost, "address that the workers bind")
	setting("ready-timeout", "duration", config.DefaultReadyTimeout, "how long a worker may take to become ready")
	setting("grace", "duration", config.DefaultGrace, "how long a worker may take to end after SIGTERM before it is killed")
	setting("release-timeout", "duration", config.DefaultReleaseTimeout, "how long a worker's port may take to come free after its process has ended")
	setting("max-restarts", "count/window", fmt.Sprintf("%d/%v", config.DefaultMaxRestarts, config.DefaultRestartWindow),
		"a worker that is restarted more often than this is given up; 0/5s: at its first crash")
	setting("health-interval", "duration", config.DefaultHealthInterval, "pause between two health checks of a ready worker; 0s: none")
	setting("health-timeout", "duration", config.DefaultHealthTimeout,
		"how long a worker may go without an answer to them before it counts as hung; longer than the interval")
	setting("metrics", "address", "", "serve Prometheus metrics at host:port, path /metrics; port 0 takes a free one (default: not served)")
	setting("log-format", joinOr([]string{config.LogText, config.LogJSON}), config.LogText, "form of supervisor.log, and of standard error in the foreground")
	setting("orphans", joinOr([]string{config.OrphansKill, config.OrphansWarn, config.OrphansIgnore}), config.DefaultOrphans,
		"what to do with processes that dead runs have left")
	setting("emergency-cleanup", joinOr([]string{config.CleanupKill, config.CleanupReport, config.CleanupOff}), config.DefaultCleanup,
		"what the guard does with processes that should not be there any more; off: there is no guard")
	setting("resource-cleanup", joinOr([]string{config.ResourcesWait, config.ResourcesOff}), config.DefaultResources,
		"whether a restart waits until the port and the rest of the process before are free; off: it may meet them")
}

// addPoolSettings adds the flags that are settings of one pool.
func addPoolSettings(flags *pflag.FlagSet) {
	setting := settingsOf(flags)
	setting("pool", "name", config.DefaultPool,
		"the pool that --workers, --adapter, --command, --ready, --start-method, --preload, --standby, --base-port, --max-memory, --ttl and --max-calls are about")
	setting("workers", "int", config.DefaultWorkers, "how many workers the pool has")
	setting("adapter", "module:Class", config.DefaultAdapter, "the workers' tools")
	setting("command", "'words'", "", "a gRPC server to run as worker in place of an adapter, such as 'python server.py --port {port}' (default: the adapter)")
	setting("ready", joinOr([]string{config.ReadyHealth, config.ReadyTCP, config.ReadyLog + "REGEX"}), config.DefaultReady,
		"how it is known that a worker with a --command is ready")
	setting("start-method", joinOr([]string{config.StartForkserver, config.StartSpawn}), "",
		"how worker processes are made: forked from one that has imported what they need, or each as a new interpreter (default: forkserver on Linux for an adapter, else spawn)")
	setting("preload", "bool", "", "have the forkserver import the adapter's module, once for all workers")
	flags.Lookup("preload").NoOptDefVal = "true"
	setting("standby", "int", "", fmt.Sprintf("how many forked workers wait for the next launch (default: %d with a forkserver)", config.DefaultStandby))
	setting("base-port", "port", "", "port of the first worker, the others follow (default: free ports)")
	setting("max-memory", "size", "", "replace a worker, between two calls, whose process takes more than this, such as 512MB (default: no limit)")
	setting("ttl", "duration", "", "replace a worker, between two calls, when it is this old, such as 1h, give or take a tenth (default: no limit)")
	setting("max-calls", "int", "", "replace a worker that has run this many calls, one worker at a time (default: no limit)")
}

func settingsOf(flags *pflag.FlagSet) func(name, kind string, value any, usage string) {
	return func(name, kind string, value any, usage string) {
		flags.Var(&settingFlag{text: fmt.Sprint(value), kind: kind}, name, usage)
	}
}

// settingFlag keeps a setting as text: it is checked together with those of the
// file and the environment, with the same words.
type settingFlag struct{ text, kind string }

func (f *settingFlag) String() string { return f.text }
func (f *settingFlag) Type() string   { return f.kind }

func (f *settingFlag) Set(text string) error {
	f.text = text
	return nil
}

// givenFlags are the settings that the command line has, as text.
func givenFlags(flags *pflag.FlagSet) map[string]string {
	given := map[string]string{}
	for _, name := range config.FlagNames() {
		f := flags.Lookup(name)
		if f == nil || !f.Changed {
			continue
		}
		given[name] = f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			given[name] = strings.Join(list.GetSlice(), string(os.PathListSeparator))
		}
	}
	return given
}
