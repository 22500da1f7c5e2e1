package config

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is what the YAML file must hold for a setting. Its text completes
// "must be ...".
type kind string

const (
	kindText     kind = "text"
	kindWhole    kind = "a whole number"
	kindDuration kind = "a duration such as 30s"
	kindSize     kind = "a size such as 512MB"
	kindSwitch   kind = "true or false"
	kindCommand  kind = "a command, or the list of its words"
)

// setting is one line of the table of everything a user can say in more than
// one layer.
type setting struct {
	flag     string
	variable string
	key      string // in the file
	kind     kind
}

// runSettings are those of the whole run. The run id's variable is SNAKEPIT_RUN
// and not SNAKEPIT_RUN_ID: that one is the marker in the environment of workers
// and all their descendants, so a worker that itself calls snakepit would hand
// its own run's id to the new run.
var runSettings = []setting{
	{"run-id", "SNAKEPIT_RUN", "run_id", kindText},
	{"python", "SNAKEPIT_PYTHON", "python", kindText},
	{"host", "SNAKEPIT_HOST", "host", kindText},
	{"ready-timeout", "SNAKEPIT_READY_TIMEOUT", "ready_timeout", kindDuration},
	{"grace", "SNAKEPIT_GRACE", "grace", kindDuration},
	{"release-timeout", "SNAKEPIT_RELEASE_TIMEOUT", "release_timeout", kindDuration},
	{"max-restarts", "SNAKEPIT_MAX_RESTARTS", "max_restarts", kindText},
	{"health-interval", "SNAKEPIT_HEALTH_INTERVAL", "health_interval", kindDuration},
	{"health-timeout", "SNAKEPIT_HEALTH_TIMEOUT", "health_timeout", kindDuration},
	{"orphans", "SNAKEPIT_ORPHANS", "orphans", kindText},
	{"metrics", "SNAKEPIT_METRICS", "metrics", kindText},
	{"log-format", "SNAKEPIT_LOG_FORMAT", "log_format", kindText},
}

// featureSettings are of the whole run, too, and stand under features in the
// file.
var featureSettings = []setting{
	{"emergency-cleanup", "SNAKEPIT_EMERGENCY_CLEANUP", "emergency_cleanup", kindText},
	{"resource-cleanup", "SNAKEPIT_RESOURCE_CLEANUP", "resource_cleanup", kindText},
}

// poolSettings are those of one pool.
var poolSettings = []setting{
	{"workers", "SNAKEPIT_WORKERS", "workers", kindWhole},
	{"adapter", "SNAKEPIT_ADAPTER", "adapter", kindText},
	{"command", "SNAKEPIT_COMMAND", "command", kindCommand},
	{"ready", "SNAKEPIT_READY", "ready", kindText},
	{"start-method", "SNAKEPIT_START_METHOD", "start_method", kindText},
	{"preload", "SNAKEPIT_PRELOAD", "preload", kindSwitch},
	{"standby", "SNAKEPIT_STANDBY", "standby", kindWhole},
	{"base-port", "SNAKEPIT_BASE_PORT", "base_port", kindWhole},
	{"max-memory", "SNAKEPIT_MAX_MEMORY", "max_memory", kindSize},
	{"ttl", "SNAKEPIT_TTL", "ttl", kindDuration},
	{"max-calls", "SNAKEPIT_MAX_CALLS", "max_calls", kindWhole},
}

// Two settings are of neither sort: python-path is a list, and pool says whose
// pool settings the flags and variables are.
var (
	pythonPath = setting{flag: "python-path", variable: "SNAKEPIT_PYTHON_PATH", key: "python_path"}
	poolName   = setting{flag: "pool", variable: "SNAKEPIT_POOL"}
)

// Variables that name no setting.
const configVariable = "SNAKEPIT_CONFIG"

// FlagNames returns the names, without dashes, of the flags that Input.Flags
// may hold.
func FlagNames() []string {
	names := []string{pythonPath.flag, poolName.flag}
	for _, s := range slices.Concat(runSettings, featureSettings, poolSettings) {
		names = append(names, s.flag)
	}
	return names
}

// set parses a setting of the run. Relative paths are taken from dir.
func (c *Config) set(key string, v value, dir string) error {
	var f *fault
	switch key {
	case "run_id":
		c.RunID, f = v.text, checkRunID(v.text)
	case "python":
		c.Python, f = interpreter(v.text, dir), checkPython(v.text)
		if v.text == "" {
			f = &fault{"it is empty", "give the path of a Python interpreter"}
		}
	case "host":
		c.Host, f = parseHost(v.text)
	case "ready_timeout":
		c.ReadyTimeout, f = parseChecked(v.text, checkReadyTimeout)
	case "grace":
		c.Grace, f = parseChecked(v.text, checkGrace)
	case "release_timeout":
		c.ReleaseTimeout, f = parseChecked(v.text, checkReleaseTimeout)
	case "max_restarts":
		c.MaxRestarts, c.RestartWindow, f = parseRestarts(v.text)
	case "health_interval":
		c.HealthInterval, f = parseChecked(v.text, checkHealthInterval)
	case "health_timeout":
		c.HealthTimeout, f = parseChecked(v.text, checkHealthTimeout)
	case "orphans":
		c.Orphans, f = v.text, checkOrphans(v.text)
	case "emergency_cleanup":
		c.EmergencyCleanup, f = v.text, checkCleanup(v.text)
	case "resource_cleanup":
		c.ResourceCleanup, f = v.text, checkResources(v.text)
	case "metrics":
		c.Metrics, f = parseMetrics(v.text)
	case "log_format":
		c.LogFormat, f = v.text, checkLogFormat(v.text)
	}
	if f != nil {
		return v.bad(f)
	}
	return nil
}

// set parses a setting of the pool.
func (p *Pool) set(key string, v value) error {
	var f *fault
	switch key {
	case "workers":
		if p.Workers, f = parseWhole(v.text); f == nil {
			f = checkWorkers(p.Workers)
		}
	case "adapter":
		p.Adapter, f = parseAdapter(v.text)
	case "command":
		if p.Command = v.words; v.words == nil {
			p.Command, f = splitCommand(v.text)
		}
		if f == nil {
			f = checkCommand(p.Command)
		}
	case "ready":
		p.Ready, f = v.text, checkReady(v.text)
	case "start_method":
		p.StartMethod, f = v.text, checkStartMethod(v.text)
	case "preload":
		p.Preload, f = parseSwitch(v.text)
	case "standby":
		if p.Standby, f = parseWhole(v.text); f == nil {
			f = checkStandby(p.Standby)
		}
	case "base_port":
		if p.BasePort, f = parseWhole(v.text); f == nil {
			f = checkBasePort(p.BasePort)
		}
	case "max_memory":
		if p.MaxMemory, f = parseSize(v.text); f == nil {
			f = checkMemory(p.MaxMemory)
		}
	case "ttl":
		p.TTL, f = parseChecked(v.text, checkTTL)
	case "max_calls":
		if p.MaxCalls, f = parseWhole(v.text); f == nil {
			f = checkMaxCalls(p.MaxCalls)
		}
	}
	if f != nil {
		return v.bad(f)
	}
	return nil
}

// interpreter makes a path absolute and leaves a name to be looked up on PATH.
func interpreter(text, dir string) string {
	if !strings.ContainsRune(text, filepath.Separator) {
		return text
	}
	return absolute(text, dir)
}

func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

func parseWhole(text string) (int, *fault) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &fault{"it is not a whole number", "give a whole number, in digits"}
	}
	return n, nil
}

// parseChecked reads a duration that has to pass a check.
func parseChecked(text string, check func(time.Duration) *fault) (time.Duration, *fault) {
	d, f := parseDuration(text)
	if f != nil {
		return 0, f
	}
	return d, check(d)
}

func parseDuration(text string) (time.Duration, *fault) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, &fault{"it is not a duration", "give a number and a unit, such as 500ms, 30s or 2m"}
	}
	return d, nil
}
