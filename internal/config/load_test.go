package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// env returns a Getenv over a map; nil is an empty environment.
func env(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

// write puts a configuration file into dir and returns its name.
func write(t *testing.T, dir, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "snakepit.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "snakepit.yaml"
}

func mkdir(t *testing.T, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func load(t *testing.T, in Input) Config {
	t.Helper()
	cfg, err := Load(in)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

func TestLoadDefaults(t *testing.T) {
	dir := t.TempDir()
	for name, in := range map[string]Input{
		"no file":    {},
		"empty file": {File: write(t, dir, "")},
	} {
		in.Getenv, in.WorkDir = env(nil), dir
		got := load(t, in)
		if !runIDPattern.MatchString(got.RunID) || len(got.RunID) != 10 {
			t.Errorf("%s: run id = %q, want 10 random characters", name, got.RunID)
		}
		want := Config{
			RunID: got.RunID, PythonPath: []string{dir}, Host: "127.0.0.1",
			ReadyTimeout: 30 * time.Second, Grace: 5 * time.Second, ReleaseTimeout: 2 * time.Second,
			MaxRestarts: 3, RestartWindow: 5 * time.Second, HealthInterval: 10 * time.Second, HealthTimeout: 15 * time.Second,
			Orphans: "kill", EmergencyCleanup: "kill", ResourceCleanup: "wait", LogFormat: "text",
			Pools: []Pool{byDefault(Pool{Name: "default", Workers: 4, Adapter: "snakepit.showcase:Showcase"})},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestLoadPrecedence gives every setting in every layer and takes the layers
// away from the top.
func TestLoadPrecedence(t *testing.T) {
	dir := t.TempDir()
	for _, layer := range []string{"flag", "variable", "file"} {
		mkdir(t, dir, layer)
	}
	mkdir(t, dir, "conf", "file")
	write(t, filepath.Join(dir, "conf"), `
run_id: file
python: bin/file
python_path: [file]
host: 127.0.0.3
ready_timeout: 3s
grace: 3m
release_timeout: 3h
max_restarts: 3/3m
health_interval: 3m
health_timeout: 3h
orphans: ignore
metrics: 127.0.0.1:3
log_format: text
features: {emergency_cleanup: off, resource_cleanup: wait}
pools: {default: {workers: 3, adapter: "file:C", base_port: 3000, max_memory: 3MB, ttl: 3h, max_calls: 3, preload: false, standby: 3}}
`)
	vars := map[string]string{
		"SNAKEPIT_RUN": "variable", "SNAKEPIT_PYTHON": "bin/variable", "SNAKEPIT_PYTHON_PATH": "variable",
		"SNAKEPIT_HOST": "127.0.0.2", "SNAKEPIT_READY_TIMEOUT": "2s", "SNAKEPIT_GRACE": "2m",
		"SNAKEPIT_WORKERS": "2", "SNAKEPIT_ADAPTER": "variable:C", "SNAKEPIT_BASE_PORT": "2000",
		"SNAKEPIT_RELEASE_TIMEOUT": "2h", "SNAKEPIT_MAX_RESTARTS": "2/2m", "SNAKEPIT_HEALTH_INTERVAL": "2m", "SNAKEPIT_HEALTH_TIMEOUT": "2h",
		"SNAKEPIT_MAX_MEMORY": "2MB", "SNAKEPIT_TTL": "2h", "SNAKEPIT_MAX_CALLS": "2", "SNAKEPIT_PRELOAD": "true", "SNAKEPIT_STANDBY": "2", "SNAKEPIT_RESOURCE_CLEANUP": "off",
		"SNAKEPIT_METRICS": "127.0.0.1:2", "SNAKEPIT_LOG_FORMAT": "json", "SNAKEPIT_ORPHANS": "warn", "SNAKEPIT_EMERGENCY_CLEANUP": "report",
		"SNAKEPIT_RUN_ID": "marker", // of the worker that runs this, say; it must not count
	}
	flags := map[string]string{
		"run-id": "flag", "python": "bin/flag", "python-path": "flag", "host": "127.0.0.1",
		"ready-timeout": "1s", "grace": "1m", "workers": "1", "adapter": "flag:C", "base-port": "1000",
		"release-timeout": "1h", "max-restarts": "1/1m", "health-interval": "1m", "health-timeout": "1h",
		"max-memory": "1MB", "ttl": "1h", "max-calls": "1", "preload": "false", "standby": "1", "resource-cleanup": "wait",
		"orphans": "kill", "emergency-cleanup": "kill", "metrics": ":1", "log-format": "text",
	}
	orphans := map[string]string{"flag": "kill", "variable": "warn", "file": "ignore"}
	metrics := map[string]string{"flag": ":1", "variable": "127.0.0.1:2", "file": "127.0.0.1:3"}
	logs := map[string]string{"flag": "text", "variable": "json", "file": "text"}
	cleanup := map[string]string{"flag": "kill", "variable": "report", "file": "off"}
	resources := map[string]string{"flag": "wait", "variable": "off", "file": "wait"}
	config := func(layer string, n int, base string) Config {
		d := time.Duration(n)
		return Config{
			RunID: layer, Python: filepath.Join(base, "bin", layer), PythonPath: []string{filepath.Join(base, layer)},
			Host: "127.0.0." + string(rune('0'+n)), ReadyTimeout: d * time.Second, Grace: d * time.Minute,
			ReleaseTimeout: d * time.Hour, MaxRestarts: n, RestartWindow: d * time.Minute,
			HealthInterval: d * time.Minute, HealthTimeout: d * time.Hour,
			Orphans: orphans[layer], EmergencyCleanup: cleanup[layer], ResourceCleanup: resources[layer],
			Metrics: metrics[layer], LogFormat: logs[layer],
			Pools: []Pool{{
				Name: "default", Workers: n, Adapter: layer + ":C", BasePort: 1000 * n,
				MaxMemory: uint64(n) * 1_000_000, TTL: d * time.Hour, MaxCalls: n,
				StartMethod: "forkserver", Preload: n == 2, Standby: n,
			}},
		}
	}
	const file = "conf/snakepit.yaml"
	for _, tt := range []struct {
		name string
		in   Input
		want Config
	}{
		{"flag over all", Input{File: file, Flags: flags, Getenv: env(vars)}, config("flag", 1, dir)},
		{"flag over variable", Input{Flags: flags, Getenv: env(vars)}, config("flag", 1, dir)},
		{"variable over file", Input{File: file, Getenv: env(vars)}, config("variable", 2, dir)},
		{"file over default", Input{File: file, Getenv: env(nil)}, config("file", 3, filepath.Join(dir, "conf"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.WorkDir = dir
			if diff := cmp.Diff(tt.want, load(t, tt.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadPrecedenceIsPerSetting(t *testing.T) {
	dir := t.TempDir()
	got := load(t, Input{
		File: write(t, dir, "host: 127.0.0.9\ngrace: 9s\npools: {web: {workers: 9, base_port: 9000}}"), WorkDir: dir,
		Flags:  map[string]string{"workers": "1"},
		Getenv: env(map[string]string{"SNAKEPIT_GRACE": "2s", "SNAKEPIT_WORKERS": "", "SNAKEPIT_RUN": "r"}),
	})
	want := Config{
		RunID: "r", PythonPath: []string{dir}, Host: "127.0.0.9", ReadyTimeout: DefaultReadyTimeout, Grace: 2 * time.Second,
		ReleaseTimeout: DefaultReleaseTimeout, MaxRestarts: DefaultMaxRestarts, RestartWindow: DefaultRestartWindow,
		HealthInterval: DefaultHealthInterval, HealthTimeout: DefaultHealthTimeout,
		Orphans: DefaultOrphans, EmergencyCleanup: DefaultCleanup, ResourceCleanup: DefaultResources, LogFormat: "text",
		Pools: []Pool{byDefault(Pool{Name: "web", Workers: 1, Adapter: DefaultAdapter, BasePort: 9000})},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadWrongValueBelowAWinnerDoesNotMatter(t *testing.T) {
	got := load(t, Input{
		WorkDir: t.TempDir(), Flags: map[string]string{"workers": "1"},
		Getenv: env(map[string]string{"SNAKEPIT_WORKERS": "eight"}),
	})
	if got.Pools[0].Workers != 1 {
		t.Errorf("workers = %d, want 1", got.Pools[0].Workers)
	}
}

func TestLoadConfigVariable(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "run_id: from-variable")
	in := Input{WorkDir: dir, Getenv: env(map[string]string{"SNAKEPIT_CONFIG": "snakepit.yaml"})}
	if got := load(t, in); got.RunID != "from-variable" {
		t.Errorf("run id = %q, want the file's", got.RunID)
	}
	write(t, mkdir(t, dir, "other"), "run_id: from-flag")
	in.File = "other/snakepit.yaml"
	if got := load(t, in); got.RunID != "from-flag" {
		t.Errorf("run id = %q, want that of the file of --config", got.RunID)
	}
}

func TestLoadPools(t *testing.T) {
	const two = "pools: {web: {workers: 2}, batch: {workers: 3}}"
	for _, tt := range []struct {
		name, file  string
		flags, vars map[string]string
		want        map[string]int
		err         string
	}{
		{name: "sorted, untouched", file: two, want: map[string]int{"batch": 3, "web": 2}},
		{name: "named", file: two, flags: map[string]string{"pool": "web", "workers": "7"}, want: map[string]int{"batch": 3, "web": 7}},
		{name: "named by variable", file: two, vars: map[string]string{"SNAKEPIT_POOL": "web", "SNAKEPIT_WORKERS": "7"}, want: map[string]int{"batch": 3, "web": 7}},
		{name: "the only one", file: "pools: {web: }", flags: map[string]string{"workers": "7"}, want: map[string]int{"web": 7}},
		{name: "named without file", flags: map[string]string{"pool": "web"}, want: map[string]int{"web": 4}},
		{
			name: "which of several", file: two, flags: map[string]string{"workers": "7"},
			err: "cannot use --workers 7: the file defines 2 pools (batch, web) and it could be meant for any",
		},
		{
			name: "which of several, variable", file: two, vars: map[string]string{"SNAKEPIT_BASE_PORT": "7000"},
			err: "cannot use SNAKEPIT_BASE_PORT=7000: the file defines 2 pools (batch, web) and it could be meant for any",
		},
		{
			name: "unknown", file: two, flags: map[string]string{"pool": "wob"},
			err: "cannot use --pool wob: the file defines no such pool; it has batch, web",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			got, err := Load(Input{File: write(t, dir, tt.file), WorkDir: dir, Flags: tt.flags, Getenv: env(tt.vars)})
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("err = %v\nwant  %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			workers := map[string]int{}
			for i, p := range got.Pools {
				workers[p.Name] = p.Workers
				if i > 0 && got.Pools[i-1].Name > p.Name {
					t.Errorf("pools are not sorted: %q before %q", got.Pools[i-1].Name, p.Name)
				}
			}
			if diff := cmp.Diff(tt.want, workers); diff != "" {
				t.Errorf("workers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadPythonPath(t *testing.T) {
	dir := t.TempDir()
	a, b, c := mkdir(t, dir, "a"), mkdir(t, dir, "b"), mkdir(t, dir, "conf", "c")
	write(t, filepath.Join(dir, "conf"), "python_path: [c, "+a+"]\npython: python3.12")
	got := load(t, Input{File: "conf/snakepit.yaml", WorkDir: dir, Getenv: env(nil)})
	if diff := cmp.Diff([]string{c, a}, got.PythonPath); diff != "" {
		t.Errorf("relative to the file (-want +got):\n%s", diff)
	}
	if got.Python != "python3.12" {
		t.Errorf("python = %q, want the bare name, for PATH", got.Python)
	}
	got = load(t, Input{WorkDir: dir, Getenv: env(nil), Flags: map[string]string{"python-path": "a::" + b}})
	if diff := cmp.Diff([]string{a, b}, got.PythonPath); diff != "" {
		t.Errorf("relative to the working directory (-want +got):\n%s", diff)
	}
}

func TestLoadFileErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(Input{File: "missing.yaml", WorkDir: dir, Getenv: env(nil)})
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "cannot use missing.yaml: no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
	_, err = Load(Input{File: ".", WorkDir: dir, Getenv: env(nil)})
	if err == nil || err.Error() != "cannot use .: is a directory" {
		t.Errorf("directory: %v", err)
	}
	_, err = Load(Input{File: write(t, dir, strings.Repeat("# x\n", 20_000)), WorkDir: dir, Getenv: env(nil)})
	if err == nil || err.Error() != "cannot use snakepit.yaml: it is larger than 64 KiB" {
		t.Errorf("huge file: %v", err)
	}
}

func TestLoadUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root reads any file, so look at the translation alone.
		err := fileError("f.yaml", &fs.PathError{Op: "open", Path: "/x/f.yaml", Err: fs.ErrPermission})
		if !errors.Is(err, fs.ErrPermission) || err.Error() != "cannot use f.yaml: permission denied" {
			t.Errorf("unreadable file: %v", err)
		}
		return
	}
	dir := t.TempDir()
	name := write(t, dir, "")
	if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Input{File: name, WorkDir: dir, Getenv: env(nil)})
	if !errors.Is(err, fs.ErrPermission) || err.Error() != "cannot use snakepit.yaml: permission denied" {
		t.Errorf("unreadable file: %v", err)
	}
}
