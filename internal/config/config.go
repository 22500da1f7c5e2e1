package config

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"fmt"
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

// How logs are written.
const (
	LogText = "text" // for people
	LogJSON = "json" // one object a line
)

// Config is a run, checked and complete. As JSON it is handed to the detached
// supervisor and stored in the run's record; durations are Go duration strings
// there ("30s").
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
	// Orphans is what the start does with the orphans of dead runs.
	Orphans string `json:"orphans"`
	// EmergencyCleanup is what the guard does.
	EmergencyCleanup string `json:"emergency_cleanup"`
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
	// Adapter is "module:Class".
	Adapter string `json:"adapter"`
	// BasePort is the first worker's port; the others follow it. Zero: every
	// worker gets a free ephemeral port.
	BasePort int `json:"base_port"`
	// Env is added to the environment of every worker of the pool.
	Env map[string]string `json:"env,omitempty"`
}

// jsonConfig adds the durations as text to the fields that need no translation.
type jsonConfig struct {
	plainConfig
	ReadyTimeout string `json:"ready_timeout"`
	Grace        string `json:"grace"`
}

type plainConfig Config

// MarshalJSON writes the durations as Go duration strings.
func (c Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonConfig{plainConfig(c), c.ReadyTimeout.String(), c.Grace.String()})
}

// UnmarshalJSON reads what MarshalJSON wrote. It checks no rule: see Validate.
func (c *Config) UnmarshalJSON(data []byte) error {
	var in jsonConfig
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("cannot read a configuration: %w", err)
	}
	ready, err := time.ParseDuration(in.ReadyTimeout)
	if err != nil {
		return fmt.Errorf("cannot read ready_timeout: %w", err)
	}
	grace, err := time.ParseDuration(in.Grace)
	if err != nil {
		return fmt.Errorf("cannot read grace: %w", err)
	}
	*c = Config(in.plainConfig)
	c.ReadyTimeout, c.Grace = ready, grace
	return nil
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
