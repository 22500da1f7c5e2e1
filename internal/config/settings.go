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
	{"orphans", "SNAKEPIT_ORPHANS", "orphans", kindText},
	{"metrics", "SNAKEPIT_METRICS", "metrics", kindText},
	{"log-format", "SNAKEPIT_LOG_FORMAT", "log_format", kindText},
}

// featureSettings are of the whole run, too, and stand under features in the
// file.
var featureSettings = []setting{
	{"emergency-cleanup", "SNAKEPIT_EMERGENCY_CLEANUP", "emergency_cleanup", kindText},
}

// poolSettings are those of one pool.
var poolSettings = []setting{
	{"workers", "SNAKEPIT_WORKERS", "workers", kindWhole},
	{"adapter", "SNAKEPIT_ADAPTER", "adapter", kindText},
	{"base-port", "SNAKEPIT_BASE_PORT", "base_port", kindWhole},
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
			f = &fault{"it is empty", "Give the path of a Python interpreter."}
		}
	case "host":
		c.Host, f = parseHost(v.text)
	case "ready_timeout":
		if c.ReadyTimeout, f = parseDuration(v.text); f == nil {
			f = checkReadyTimeout(c.ReadyTimeout)
		}
	case "grace":
		if c.Grace, f = parseDuration(v.text); f == nil {
			f = checkGrace(c.Grace)
		}
	case "orphans":
		c.Orphans, f = v.text, checkOrphans(v.text)
	case "emergency_cleanup":
		c.EmergencyCleanup, f = v.text, checkCleanup(v.text)
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
	case "base_port":
		if p.BasePort, f = parseWhole(v.text); f == nil {
			f = checkBasePort(p.BasePort)
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
		return 0, &fault{"it is not a whole number", "Give a whole number, in digits."}
	}
	return n, nil
}

func parseDuration(text string) (time.Duration, *fault) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, &fault{"it is not a duration", "Give a number and a unit, such as 500ms, 30s or 2m."}
	}
	return d, nil
}
