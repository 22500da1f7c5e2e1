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
		{"release-timeout", "0s", "cannot use --release-timeout 0s: the release timeout must be longer than zero"},
		{"release-timeout", "2", "cannot use --release-timeout 2: it is not a duration"},
		{"max-restarts", "3", "cannot use --max-restarts 3: it is not written COUNT/WINDOW"},
		{"max-restarts", "", `cannot use --max-restarts "": it is not written COUNT/WINDOW`},
		{"max-restarts", "3/5", "cannot use --max-restarts 3/5: it is not written COUNT/WINDOW"},
		{"max-restarts", "many/5s", "cannot use --max-restarts many/5s: it is not written COUNT/WINDOW"},
		{"max-restarts", "3/5s/1s", "cannot use --max-restarts 3/5s/1s: it is not written COUNT/WINDOW"},
		{"max-restarts", "-1/5s", "cannot use --max-restarts -1/5s: the number of restarts cannot be negative"},
		{"max-restarts", "3/0s", "cannot use --max-restarts 3/0s: the window must be longer than zero"},
		{"health-interval", "-1s", "cannot use --health-interval -1s: the health interval cannot be negative"},
		{"health-interval", "15s", "cannot use the health timeout 15s: workers are asked every 15s only, so that a sound one would count as hung"},
		{"health-timeout", "0s", "cannot use --health-timeout 0s: the health timeout must be longer than zero"},
		{"health-timeout", "9s", "cannot use the health timeout 9s: workers are asked every 10s only"},
		{"resource-cleanup", "no", "cannot use --resource-cleanup no: it is none of wait, off"},
		{"max-memory", "", `cannot use --max-memory "": it is not a size`},
		{"max-memory", "512", "cannot use --max-memory 512: a size needs a unit"},
		{"max-memory", "-5MB", "cannot use --max-memory -5MB: it is not a size"},
		{"max-memory", "1e3MB", "cannot use --max-memory 1e3MB: it is not a size"},
		{"max-memory", "NaN", "cannot use --max-memory NaN: it is not a size"},
		{"max-memory", "5 XB", `cannot use --max-memory "5 XB": there is no such unit as XB`},
		{"max-memory", "5MBit", "cannot use --max-memory 5MBit: there is no such unit as MBit"},
		{"max-memory", "512KB", "cannot use --max-memory 512KB: no process is that small"},
		{"max-memory", "99999999TB", "cannot use --max-memory 99999999TB: it is too large"},
		{"max-memory", strings.Repeat("9", 400) + "TB", "cannot use --max-memory " + strings.Repeat("9", 200) + "...: it is too large"},
		{"ttl", "-1h", "cannot use --ttl -1h: the time to live cannot be negative"},
		{"ttl", "1d", "cannot use --ttl 1d: it is not a duration"},
		{"max-calls", "-1", "cannot use --max-calls -1: the number of calls cannot be negative"},
		{"max-calls", "1k", "cannot use --max-calls 1k: it is not a whole number"},
		{"command", "", `cannot use --command "": it names no program`},
		{"command", "# python", `cannot use --command "# python": it names no program`},
		{"command", "'' a", `cannot use --command "'' a": it names no program`},
		{"command", "python 'server.py", `cannot use --command "python 'server.py": a quote is not closed`},
		{"command", `python \`, `cannot use --command "python \\": a quote is not closed, or nothing follows a backslash`},
		{"command", "python a\x00b", `cannot use --command "python a\x00b": a word cannot contain a NUL character`},
		{"command", "server --port={prot}", `cannot use --command "server --port={prot}": there is no placeholder {prot}`},
		{"ready", "tcp", "cannot use --ready tcp: the pool has no command"},
		{"ready", "soon", "cannot use --ready soon: it is none of health, tcp, log:REGEX"},
		{"ready", "log:", `cannot use --ready "log:": there is no expression after log:`},
		{"ready", "log:(", `cannot use --ready "log:(": error parsing regexp: missing closing )`},
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
			checkHint(t, e.Hint)
		})
	}
}

func TestGoodFlags(t *testing.T) {
	run := func(c Config) any { return c.RunID }
	host := func(c Config) any { return c.Host }
	metrics := func(c Config) any { return c.Metrics }
	adapter := func(c Config) any { return c.Pools[0].Adapter }
	memory := func(c Config) any { return c.Pools[0].MaxMemory }
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
		{"max-restarts", "0/1m30s", func(c Config) any { return formatRestarts(c.MaxRestarts, c.RestartWindow) }, "0/1m30s"},
		{"health-interval", "0", func(c Config) any { return c.HealthInterval }, time.Duration(0)},
		{"health-interval", "14999ms", func(c Config) any { return c.HealthInterval }, 14999 * time.Millisecond},
		{"resource-cleanup", "off", func(c Config) any { return c.ResourceCleanup }, "off"},
		{"max-memory", "0", memory, uint64(0)},
		{"max-memory", "0MB", memory, uint64(0)},
		{"max-memory", "1000000B", memory, uint64(1_000_000)},
		{"max-memory", "2000k", memory, uint64(2_000_000)},
		{"max-memory", "512M", memory, uint64(512_000_000)},
		{"max-memory", "512 mb", memory, uint64(512_000_000)},
		{"max-memory", "512MiB", memory, uint64(536_870_912)},
		{"max-memory", "2048Ki", memory, uint64(2_097_152)},
		{"max-memory", "1.1GB", memory, uint64(1_100_000_000)},
		{"max-memory", "1.5GiB", memory, uint64(1_610_612_736)},
		{"max-memory", "1TiB", memory, uint64(1_099_511_627_776)},
		{"ttl", "0", func(c Config) any { return c.Pools[0].TTL }, time.Duration(0)},
		{"max-calls", "0", func(c Config) any { return c.Pools[0].MaxCalls }, 0},
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
	want := []string{
		"python-path", "pool", "run-id", "python", "host", "ready-timeout", "grace",
		"release-timeout", "max-restarts", "health-interval", "health-timeout", "orphans", "metrics", "log-format",
		"emergency-cleanup", "resource-cleanup", "workers", "adapter", "command", "ready",
		"start-method", "preload", "standby", "base-port", "max-memory", "ttl", "max-calls",
	}
	if diff := cmp.Diff(want, FlagNames()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	good := func() Config {
		return Config{
			RunID: "r", PythonPath: []string{dir}, Host: "127.0.0.1", ReadyTimeout: 1, Grace: 0,
			ReleaseTimeout: 1, RestartWindow: 1, HealthTimeout: 1,
			Orphans: "warn", EmergencyCleanup: "report", ResourceCleanup: "off", LogFormat: "json", Metrics: "[::1]:0",
			Pools: []Pool{
				{Name: "a", Workers: 2, Adapter: "m:C", StartMethod: "spawn"},
				{Name: "b", Workers: 2, Command: []string{"server", "{port}"}, Ready: "log:x", StartMethod: "spawn"},
			},
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
		"release":        {func(c *Config) { c.ReleaseTimeout = 0 }, "longer than zero"},
		"restarts":       {func(c *Config) { c.MaxRestarts = -1 }, "cannot be negative"},
		"window":         {func(c *Config) { c.RestartWindow = 0 }, "longer than zero"},
		"interval":       {func(c *Config) { c.HealthInterval = -1 }, "negative"},
		"silence":        {func(c *Config) { c.HealthTimeout = 0 }, "longer than zero"},
		"both":           {func(c *Config) { c.HealthInterval, c.HealthTimeout = time.Second, time.Second }, "asked every 1s only"},
		"too often":      {func(c *Config) { c.HealthInterval = time.Millisecond }, "at least 10ms"},
		"unseen memory":  {func(c *Config) { c.HealthInterval, c.Pools[0].MaxMemory = 0, 1<<30 }, "with each health check, and there are none"},
		"uncounted":      {func(c *Config) { c.Pools[1].MaxCalls = 1 }, "nothing to count"},
		"resources":      {func(c *Config) { c.ResourceCleanup = "" }, "none of wait, off"},
		"memory":         {func(c *Config) { c.Pools[0].MaxMemory = 999_999 }, "at least 1MB"},
		"ttl":            {func(c *Config) { c.Pools[0].TTL = -1 }, "negative"},
		"calls":          {func(c *Config) { c.Pools[0].MaxCalls = -1 }, "negative"},
		"no adapter":     {func(c *Config) { c.Pools[0].Adapter = "" }, "module:Class"},
		"adapter, too":   {func(c *Config) { c.Pools[1].Adapter = "m:C" }, "the pool has an adapter, too"},
		"ready alone":    {func(c *Config) { c.Pools[0].Ready = "tcp" }, "the pool has no command"},
		"no ready":       {func(c *Config) { c.Pools[1].Ready = "" }, "none of health, tcp, log:REGEX"},
		"placeholder":    {func(c *Config) { c.Pools[1].Command[1] = "{prot}" }, "no placeholder {prot}"},
		"env port":       {func(c *Config) { c.Pools[0].Env = map[string]string{"SNAKEPIT_PORT": "1"} }, "sets this variable itself"},
		"env key":        {func(c *Config) { c.Pools[0].Env = map[string]string{"SNAKEPIT_RUN_KEY": "x"} }, "sets this variable itself"},
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
		"start method":   {func(c *Config) { c.Pools[0].StartMethod = "" }, "none of forkserver, spawn"},
		"standby":        {func(c *Config) { c.Pools[0].Standby = 1 }, "the workers are spawned"},
		"preload":        {func(c *Config) { c.Pools[0].Preload = true }, "the workers are spawned"},
		"forked command": {func(c *Config) { c.Pools[1].StartMethod = "forkserver" }, "only workers with an adapter"},
		"metrics, too":   {func(c *Config) { c.Metrics, c.Pools[0].BasePort = "127.0.0.1:5001", 5000 }, "its ports 5000 to 5001 have that of the metrics, 127.0.0.1:5001, among them"},
		"metrics on all": {func(c *Config) { c.Metrics, c.Pools[0].BasePort = ":5001", 5000 }, "have that of the metrics"},
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
		ReleaseTimeout: 2 * time.Second, MaxRestarts: 0, RestartWindow: time.Minute, HealthInterval: 0, HealthTimeout: time.Hour,
		Orphans: "warn", EmergencyCleanup: "off", ResourceCleanup: "wait", Metrics: ":9464", LogFormat: "json",
		Pools: []Pool{
			{Name: "a", Workers: 2, Adapter: "m:C", StartMethod: "forkserver", Preload: true, Standby: 2, BasePort: 1, Env: map[string]string{"A": "b"}},
			{Name: "b", Workers: 1, Command: []string{"a b", "{port}"}, Ready: "tcp", StartMethod: "spawn", MaxMemory: 512_000_000, TTL: time.Hour, MaxCalls: 7},
		},
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"run_id":"r","python":"/p","python_path":["/a"],"host":"::1",` +
		`"orphans":"warn","emergency_cleanup":"off","resource_cleanup":"wait","metrics":":9464","log_format":"json","pools":[` +
		`{"name":"a","workers":2,"adapter":"m:C","start_method":"forkserver","preload":true,"standby":2,"base_port":1,"env":{"A":"b"}},` +
		`{"name":"b","workers":1,"command":["a b","{port}"],"ready":"tcp","start_method":"spawn","base_port":0,"max_memory_bytes":512000000,"max_calls":7,"ttl":"1h0m0s"}],` +
		`"ready_timeout":"1m30s","grace":"0s","release_timeout":"2s","max_restarts":"0/1m0s","health_interval":"0s","health_timeout":"1h0m0s"}`
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
	for _, bad := range []string{
		"[]", "{}", `{"ready_timeout":"1s"}`, `{"ready_timeout":"1","grace":"1s"}`,
		strings.Replace(text, "0/1m0s", "0", 1), strings.Replace(text, `"ttl":"1h`, `"ttl":"`, 1) + "h", strings.Replace(text, `"a b"`, "7", 1),
	} {
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

// checkHint holds the style that all hints of the program have.
func checkHint(t *testing.T, hint string) {
	t.Helper()
	if hint == "" || strings.HasSuffix(hint, ".") || hint[:1] != strings.ToLower(hint[:1]) {
		t.Errorf("hint = %q: it is to begin small and to end without a stop", hint)
	}
}
