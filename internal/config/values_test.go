package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBadFlags(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a", 65)
	for _, tt := range []struct{ flag, text, want string }{
		{"workers", "0", "cannot use --workers 0: the number of workers must be from 1 to 4096"},
		{"workers", "-3", "cannot use --workers -3: the number of workers must be from 1 to 4096"},
		{"workers", "4097", "cannot use --workers 4097: the number of workers must be from 1 to 4096"},
		{"workers", "100000", "cannot use --workers 100000: the number of workers must be from 1 to 4096"},
		{"workers", "eight", "cannot use --workers eight: it is not a whole number"},
		{"workers", "", `cannot use --workers "": it is not a whole number`},
		{"workers", "1.5", "cannot use --workers 1.5: it is not a whole number"},
		{"workers", "99999999999999999999", "cannot use --workers 99999999999999999999: it is not a whole number"},
		{"base-port", "-1", "cannot use --base-port -1: a port must be from 1 to 65535"},
		{"base-port", "65536", "cannot use --base-port 65536: a port must be from 1 to 65535"},
		{"base-port", "http", "cannot use --base-port http: it is not a whole number"},
		{"base-port", "65533", `cannot use base port 65533 of pool "default": 4 workers need the ports 65533 to 65536, and the last port is 65535`},
		{"run-id", "Demo", "cannot use --run-id Demo: a run id is"},
		{"run-id", "", `cannot use --run-id "": a run id is`},
		{"run-id", "../x", "cannot use --run-id ../x: a run id is"},
		{"run-id", "-x", "cannot use --run-id -x: a run id is"},
		{"run-id", "a\n", `cannot use --run-id "a\n": a run id is`},
		{"run-id", long, "cannot use --run-id " + long + ": a run id is"},
		{"pool", "My Pool", `cannot use --pool "My Pool": a pool name is`},
		{"pool", strings.Repeat("p", 33), "cannot use --pool " + strings.Repeat("p", 33) + ": a pool name is"},
		{"adapter", "Showcase", "cannot use --adapter Showcase: an adapter is written module:Class"},
		{"adapter", "a:b:C", `cannot use --adapter "a:b:C": an adapter is`},
		{"adapter", "a-b:C", `cannot use --adapter "a-b:C": an adapter is`},
		{"adapter", ".a:C", `cannot use --adapter ".a:C": an adapter is`},
		{"adapter", "a:C.D", `cannot use --adapter "a:C.D": an adapter is`},
		{"adapter", "a:1C", `cannot use --adapter "a:1C": an adapter is`},
		{"adapter", "", `cannot use --adapter "": an adapter is`},
		{"host", "example.com", "cannot use --host example.com: a host is an IP address"},
		{"host", "[::1]", `cannot use --host "[::1]": a host is an IP address`},
		{"host", "224.0.0.1", "cannot use --host 224.0.0.1: a host is an IP address"},
		{"ready-timeout", "0s", "cannot use --ready-timeout 0s: the ready timeout must be longer than zero"},
		{"ready-timeout", "30", "cannot use --ready-timeout 30: it is not a duration"},
		{"grace", "-1s", "cannot use --grace -1s: the grace time cannot be negative"},
		{"orphans", "maybe", "cannot use --orphans maybe: it is none of kill, warn, ignore"},
		{"orphans", "", `cannot use --orphans "": it is none of`},
		{"emergency-cleanup", "warn", "cannot use --emergency-cleanup warn: it is none of kill, report, off"},
		{"log-format", "xml", "cannot use --log-format xml: it is none of text, json"},
		{"metrics", "9464", "cannot use --metrics 9464: it is not written host:port"},
		{"metrics", "127.0.0.1:", "cannot use --metrics \"127.0.0.1:\": a port is a number from 1 to 65535"},
		{"metrics", "127.0.0.1:65536", "cannot use --metrics \"127.0.0.1:65536\": a port is a number from 1 to 65535"},
		{"metrics", "127.0.0.1:http", "cannot use --metrics \"127.0.0.1:http\": a port is a number from 1 to 65535"},
		{"metrics", "example.org:9464", "cannot use --metrics \"example.org:9464\": a host is an IP address of this machine"},
		{"python", "", `cannot use --python "": it is empty`},
		{"python", "a\x00", `cannot use --python "a\x00": a path cannot contain a NUL character`},
		{"python-path", "missing", "cannot use --python-path missing: there is no such directory: " + dir + "/missing"},
		{"python-path", "file", "cannot use --python-path file: it is not a directory: " + dir + "/file"},
		{"python-path", "", `cannot use --python-path "": it names no directory`},
		{"colour", "red", "cannot use --colour: there is no such setting"},
	} {
		t.Run(tt.flag+"="+show(tt.text), func(t *testing.T) {
			_, err := Load(Input{WorkDir: dir, Getenv: env(nil), Flags: map[string]string{tt.flag: tt.text}})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("err = %v, want an *Error", err)
			}
			if !strings.HasPrefix(e.Error(), tt.want) {
				t.Errorf("err = %s\nwant  %s...", e, tt.want)
			}
			if !strings.HasSuffix(e.Hint, ".") {
				t.Errorf("hint = %q, want a sentence", e.Hint)
			}
		})
	}
}

func TestGoodFlags(t *testing.T) {
	run := func(c Config) any { return c.RunID }
	host := func(c Config) any { return c.Host }
	metrics := func(c Config) any { return c.Metrics }
	adapter := func(c Config) any { return c.Pools[0].Adapter }
	port := func(c Config) any { return c.Pools[0].BasePort }
	for _, tt := range []struct {
		flag, text string
		get        func(Config) any
		want       any
	}{
		{"run-id", strings.Repeat("a", 64), run, strings.Repeat("a", 64)},
		{"run-id", "0_-x", run, "0_-x"},
		{"host", "localhost", host, "127.0.0.1"},
		{"host", "0.0.0.0", host, "0.0.0.0"},
		{"host", "0:0::1", host, "::1"},
		{"host", "::ffff:127.0.0.1", host, "127.0.0.1"},
		{"adapter", "a.b:C", adapter, "a.b:C"},
		{"adapter", "a.b.C", adapter, "a.b:C"},
		{"adapter", "größe:Größe", adapter, "größe:Größe"},
		{"base-port", "0", port, 0},
		{"base-port", "65532", port, 65532}, // 4 workers end at the last port
		{"workers", "4096", func(c Config) any { return c.Pools[0].Workers }, 4096},
		{"metrics", "localhost:09464", metrics, "127.0.0.1:9464"},
		{"metrics", ":0", metrics, ":0"},
		{"metrics", "", metrics, ""},
		{"grace", "0", func(c Config) any { return c.Grace }, time.Duration(0)},
	} {
		got := load(t, Input{WorkDir: t.TempDir(), Getenv: env(nil), Flags: map[string]string{tt.flag: tt.text}})
		if tt.get(got) != tt.want {
			t.Errorf("--%s %s gives %v, want %v", tt.flag, tt.text, tt.get(got), tt.want)
		}
	}
}

func TestBadVariable(t *testing.T) {
	_, err := Load(Input{WorkDir: t.TempDir(), Getenv: env(map[string]string{"SNAKEPIT_WORKERS": "eight"})})
	if want := "cannot use SNAKEPIT_WORKERS=eight: it is not a whole number"; err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}

func TestFlagNamesCoverEverySetting(t *testing.T) {
	want := []string{"python-path", "pool", "run-id", "python", "host", "ready-timeout", "grace", "orphans", "metrics", "log-format", "emergency-cleanup", "workers", "adapter", "base-port"}
	if diff := cmp.Diff(want, FlagNames()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	good := func() Config {
		return Config{
			RunID: "r", PythonPath: []string{dir}, Host: "127.0.0.1", ReadyTimeout: 1, Grace: 0,
			Orphans: "warn", EmergencyCleanup: "report", LogFormat: "json", Metrics: "[::1]:0",
			Pools: []Pool{{Name: "a", Workers: 2, Adapter: "m:C"}, {Name: "b", Workers: 2, Adapter: "m:C"}},
		}
	}
	if err := good().Validate(); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for name, tt := range map[string]struct {
		breakIt func(*Config)
		want    string
	}{
		"run id":         {func(c *Config) { c.RunID = "" }, "a run id is"},
		"python":         {func(c *Config) { c.Python = "\x00" }, "NUL"},
		"python path":    {func(c *Config) { c.PythonPath[0] = dir + "/no" }, "no such directory"},
		"relative path":  {func(c *Config) { c.PythonPath[0] = "." }, "not absolute"},
		"host":           {func(c *Config) { c.Host = "" }, "IP address"},
		"host form":      {func(c *Config) { c.Host = "localhost" }, "normal form"},
		"ready timeout":  {func(c *Config) { c.ReadyTimeout = 0 }, "longer than zero"},
		"grace":          {func(c *Config) { c.Grace = -1 }, "negative"},
		"orphans":        {func(c *Config) { c.Orphans = "" }, "none of kill, warn, ignore"},
		"cleanup":        {func(c *Config) { c.EmergencyCleanup = "no" }, "none of kill, report, off"},
		"metrics":        {func(c *Config) { c.Metrics = "9464" }, "host:port"},
		"metrics form":   {func(c *Config) { c.Metrics = "localhost:9464" }, "normal form"},
		"log format":     {func(c *Config) { c.LogFormat = "" }, "none of text, json"},
		"no pools":       {func(c *Config) { c.Pools = nil }, "there are none"},
		"pool name":      {func(c *Config) { c.Pools[0].Name = "A" }, "a pool name is"},
		"pool twice":     {func(c *Config) { c.Pools[1].Name = "a" }, "distinct"},
		"workers":        {func(c *Config) { c.Pools[1].Workers = 0 }, "from 1 to 4096"},
		"adapter":        {func(c *Config) { c.Pools[0].Adapter = "x" }, "module:Class"},
		"adapter form":   {func(c *Config) { c.Pools[0].Adapter = "m.C" }, "module:Class"},
		"port":           {func(c *Config) { c.Pools[0].BasePort = 65536 }, "from 1 to 65535"},
		"port range":     {func(c *Config) { c.Pools[0].BasePort = 65535 }, "2 workers need the ports 65535 to 65536"},
		"overlap":        {func(c *Config) { c.Pools[0].BasePort, c.Pools[1].BasePort = 5000, 5001 }, `its ports 5001 to 5002 overlap those of pool "a", 5000 to 5001`},
		"overlap, above": {func(c *Config) { c.Pools[0].BasePort, c.Pools[1].BasePort = 5001, 5000 }, "overlap"},
		"env name":       {func(c *Config) { c.Pools[0].Env = map[string]string{"A-B": ""} }, "a variable's name"},
		"env marker":     {func(c *Config) { c.Pools[0].Env = map[string]string{"SNAKEPIT_RUN_ID": "x"} }, "sets this variable itself"},
		"env lifeline":   {func(c *Config) { c.Pools[0].Env = map[string]string{"SNAKEPIT_LIFELINE_FD": "x"} }, "sets this variable itself"},
		"env NUL":        {func(c *Config) { c.Pools[0].Env = map[string]string{"A": "\x00"} }, "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			tt.breakIt(&c)
			var e *Error
			if err := c.Validate(); !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want an *Error with %q", err, tt.want)
			}
		})
	}
	neighbours := good()
	neighbours.Pools[0].BasePort, neighbours.Pools[1].BasePort = 5000, 5002
	if err := neighbours.Validate(); err != nil {
		t.Errorf("adjacent ranges: %v", err)
	}
}

func TestJSON(t *testing.T) {
	want := Config{
		RunID: "r", Python: "/p", PythonPath: []string{"/a"}, Host: "::1", ReadyTimeout: 90 * time.Second, Grace: 0,
		Orphans: "warn", EmergencyCleanup: "off", Metrics: ":9464", LogFormat: "json",
		Pools: []Pool{{Name: "a", Workers: 2, Adapter: "m:C", BasePort: 1, Env: map[string]string{"A": "b"}}},
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"run_id":"r","python":"/p","python_path":["/a"],"host":"::1",` +
		`"orphans":"warn","emergency_cleanup":"off","metrics":":9464","log_format":"json","pools":[{"name":"a","workers":2,"adapter":"m:C","base_port":1,"env":{"A":"b"}}],"ready_timeout":"1m30s","grace":"0s"}`
	if diff := cmp.Diff(text, string(data)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	var got Config
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("there and back (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"[]", "{}", `{"ready_timeout":"1s"}`, `{"ready_timeout":"1","grace":"1s"}`} {
		if json.Unmarshal([]byte(bad), new(Config)) == nil {
			t.Errorf("%s was read without an error", bad)
		}
	}
}

func TestNewRunID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, err := NewRunID()
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^[a-z2-7]{10}$`).MatchString(id) || checkRunID(id) != nil {
			t.Fatalf("run id %q", id)
		}
		seen[id] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different ids of 1000", len(seen))
	}
}

func TestWorkerID(t *testing.T) {
	if got := WorkerID("default", 10); got != "default-10" {
		t.Errorf("WorkerID = %q", got)
	}
}
