package config

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of the settings that nobody gave. The default module path is the
// working directory, and the default run id is a new random one.
const (
	DefaultPool         = "default"
	DefaultWorkers      = 4 // enough to see a pool at work, small enough for a laptop
	DefaultAdapter      = "snakepit.showcase:Showcase"
	DefaultHost         = "127.0.0.1"
	DefaultReadyTimeout = 30 * time.Second
	DefaultGrace        = 5 * time.Second
	DefaultOrphans      = OrphansKill
	DefaultCleanup      = CleanupKill
	DefaultResources    = ResourcesWait
	DefaultReady        = ReadyHealth // of a command

	DefaultStandby = 1 // where workers are forked

	DefaultReleaseTimeout = 2 * time.Second
	DefaultHealthInterval = 10 * time.Second // as often as the probes of Kubernetes
	DefaultHealthTimeout  = 15 * time.Second

	// The restart intensity of OTP's supervisors is a count in a window, too;
	// theirs is 1 in 5 s.
	DefaultMaxRestarts   = 3
	DefaultRestartWindow = 5 * time.Second
)

// What a start does with the orphans of dead runs.
const (
	OrphansKill   = "kill"   // end them, and say so
	OrphansWarn   = "warn"   // say so
	OrphansIgnore = "ignore" // do not look
)

// What the guard does with processes that should not be there.
const (
	CleanupKill   = "kill"   // end them
	CleanupReport = "report" // say so
	CleanupOff    = "off"    // there is no guard
)

// What a restart does about the resources of the process before.
const (
	ResourcesWait = "wait" // wait until its group, port and registry entry are free
	ResourcesOff  = "off"  // launch at once
)

// How it is known that a command's process is ready. The third way, ReadyLog, is
// followed by a regular expression (https://pkg.go.dev/regexp/syntax).
const (
	ReadyHealth = "health" // grpc.health.v1 answers SERVING on its port
	ReadyTCP    = "tcp"    // its port accepts connections
	ReadyLog    = "log:"   // a line of its output matches
)

// How a worker's process comes to be, in the words of Python's multiprocessing.
const (
	StartSpawn      = "spawn"      // a new interpreter
	StartForkserver = "forkserver" // a fork of one that has imported what workers need; Linux only
)

// How logs are written.
const (
	LogText = "text" // for people
	LogJSON = "json" // one object a line
)

// Config is a run, checked and complete. As JSON it is handed to the detached
// supervisor and stored in the run's record; durations are Go duration strings
// there ("30s"), and the limit of restarts is "3/5s".
type Config struct {
	RunID string `json:"run_id"`
	// Python is the interpreter to use: a name to look up on PATH or an
	// absolute path. Empty: not given, so the usual search decides.
	Python string `json:"python,omitempty"`
	// PythonPath holds the absolute directories from which adapters are imported.
	PythonPath []string `json:"python_path"`
	// Host is the IP address that workers bind.
	Host string `json:"host"`
	// ReadyTimeout is how long a worker may take to become ready.
	ReadyTimeout time.Duration `json:"-"`
	// Grace is how long a worker may take to end after SIGTERM.
	Grace time.Duration `json:"-"`
	// ReleaseTimeout is how long a port may take to come free after its process
	// has ended.
	ReleaseTimeout time.Duration `json:"-"`
	// More than MaxRestarts within RestartWindow and a worker is given up. Zero:
	// at the first crash.
	MaxRestarts   int           `json:"-"`
	RestartWindow time.Duration `json:"-"`
	// HealthInterval is the pause between two health checks of a ready worker;
	// zero means none. HealthTimeout is how long it may go without an answer, and
	// is longer than the interval.
	HealthInterval time.Duration `json:"-"`
	HealthTimeout  time.Duration `json:"-"`
	// Orphans is what the start does with the orphans of dead runs.
	Orphans string `json:"orphans"`
	// EmergencyCleanup is what the guard does.
	EmergencyCleanup string `json:"emergency_cleanup"`
	// ResourceCleanup is what a restart does about the process before.
	ResourceCleanup string `json:"resource_cleanup"`
	// Metrics is where Prometheus metrics are served, as host:port; port 0 is any
	// that is free. Empty: nowhere.
	Metrics string `json:"metrics,omitempty"`
	// LogFormat is that of supervisor.log, and of standard error in the foreground.
	LogFormat string `json:"log_format"`
	// Pools is sorted by name and never empty.
	Pools []Pool `json:"pools"`
}

// Pool is a named set of identical workers.
type Pool struct {
	Name    string `json:"name"`
	Workers int    `json:"workers"`
	// Adapter is "module:Class". Empty: the pool has a command.
	Adapter string `json:"adapter,omitempty"`
	// Command is the words of a command line that is a gRPC server, with
	// placeholders (see Placeholders). Empty: the pool has an adapter.
	Command []string `json:"command,omitempty"`
	// Ready is how it is known that the command's process is ready: ReadyHealth,
	// ReadyTCP, or ReadyLog and a regular expression. Empty without a command.
	Ready string `json:"ready,omitempty"`
	// StartMethod is how the workers' processes come to be. With StartForkserver,
	// Preload has the forkserver import the adapter's module, and Standby is how
	// many forks wait for the next launch.
	StartMethod string `json:"start_method"`
	Preload     bool   `json:"preload,omitempty"`
	Standby     int    `json:"standby,omitempty"`
	// BasePort is the first worker's port; the others follow it. Zero: every
	// worker gets a free ephemeral port.
	BasePort int `json:"base_port"`
	// A worker is replaced when its process takes more than MaxMemory bytes, is
	// older than TTL, or has run MaxCalls calls. Zero: never.
	MaxMemory uint64        `json:"max_memory_bytes,omitempty"`
	TTL       time.Duration `json:"-"`
	MaxCalls  int           `json:"max_calls,omitempty"`
	// Env is added to the environment of every worker of the pool.
	Env map[string]string `json:"env,omitempty"`
}

// NeedsPython says whether a pool has an adapter: a command brings its own
// interpreter, if it needs one.
func (c Config) NeedsPython() bool {
	return slices.ContainsFunc(c.Pools, func(p Pool) bool { return len(p.Command) == 0 })
}

// WorkerID returns the id of a worker's slot: "default-0" for the first worker
// of the pool "default". It stays the same when the process in the slot changes.
func WorkerID(pool string, index int) string { return pool + "-" + strconv.Itoa(index) }

// NewRunID returns 10 random characters of lower-case base32 (RFC 4648,
// section 6: a-z and 2-7), which is 50 bits. Random, because ids made from the
// clock are the same for two runs that start in the same second.
func NewRunID() (string, error) {
	var raw [10]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("cannot make a run id: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))[:10], nil
}
