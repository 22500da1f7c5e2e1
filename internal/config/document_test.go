package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDocumentErrors(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"unknown key": {
			"wokers: 3",
			"f.yaml:1:1: unknown key wokers\n   1 | wokers: 3\n     | ^",
		},
		"unknown key of a pool": {
			"pools:\n  default:\n    workers: 8\n    wokers: 3\n    env: {}\n",
			"f.yaml:4:5: unknown key wokers\n   3 |     workers: 8\n   4 |     wokers: 3\n     |     ^",
		},
		"text for a number": {
			"pools: {a: {workers: eight}}",
			"f.yaml:1:22: workers must be a whole number\n   1 | pools: {a: {workers: eight}}\n     |                      ^",
		},
		"quoted number":         {`pools: {a: {base_port: "80"}}`, "f.yaml:1:24: base_port must be a whole number"},
		"fraction":              {"pools: {a: {workers: 1.5}}", "f.yaml:1:22: workers must be a whole number"},
		"number for text":       {"run_id: 12", "f.yaml:1:9: run_id must be text"},
		"list for text":         {"host: [a]", "f.yaml:1:7: host must be text"},
		"mapping for text":      {"host:\n  a: b", "f.yaml:2:3: host must be text"},
		"bool for a duration":   {"grace: true", "f.yaml:1:8: grace must be a duration such as 30s"},
		"text for a list":       {"python_path: .", "f.yaml:1:14: python_path must be a list"},
		"number in a list":      {"python_path: [a, 3]", "f.yaml:1:18: an entry of python_path must be text"},
		"text for features":     {"features: kill", "f.yaml:1:11: features must be a mapping"},
		"feature at the top":    {"emergency_cleanup: kill", "f.yaml:1:1: unknown key emergency_cleanup"},
		"setting as a feature":  {"features: {orphans: kill}", "f.yaml:1:12: unknown key orphans"},
		"unknown feature value": {"features: {emergency_cleanup: maybe}", "emergency_cleanup maybe in f.yaml:1:31: it is none of kill, report, off"},
		"number as a limit":     {"max_restarts: 3", "f.yaml:1:15: max_restarts must be text"},
		"size without a unit":   {"pools: {a: {max_memory: 512}}", "max_memory 512 in f.yaml:1:25: a size needs a unit"},
		"fraction as a size":    {"pools: {a: {max_memory: 1.5}}", "f.yaml:1:25: max_memory must be a size such as 512MB"},
		"mapping for a command": {"pools: {a: {command: {a: b}}}", "f.yaml:1:22: command must be a command, or the list of its words"},
		"number for a command":  {"pools: {a: {command: 3}}", "f.yaml:1:22: command must be a command, or the list of its words"},
		"no words":              {"pools: {a: {command: []}}", `command "" in f.yaml:1:22: it names no program`},
		"braces as a word":      {"pools: {a: {command: [server, {port}]}}", "f.yaml:1:31: a word of command must be text or a number"},
		"list for ready":        {"pools: {a: {ready: [tcp]}}", "f.yaml:1:20: ready must be text"},
		"number for orphans":    {"orphans: 1", "f.yaml:1:10: orphans must be text"},
		"list for pools":        {"pools:\n  - a", "f.yaml:2:3: pools must be a mapping"},
		"text for a pool":       {"pools: {a: b}", "f.yaml:1:12: a pool must be a mapping"},
		"text for the file":     {"hello", "f.yaml:1:1: the file must be a mapping"},
		"list in env":           {"pools: {a: {env: {X: [1]}}}", "f.yaml:1:22: X must be text, a number, true or false"},
		"nothing in env":        {"pools: {a: {env: {X: }}}", "f.yaml:1:21: X must be text, a number, true or false"},
		"same key twice":        {"host: a\nhost: b", `f.yaml:2:1: mapping key "host" already defined at [1:1]`},
		"same pool twice":       {"pools:\n  a:\n  a:\n", `f.yaml:3:3: mapping key "a" already defined at [2:3]`},
		"number as a key":       {"1: x\nhost: y", "f.yaml:1:1: a key must be text"},
		"merge key":             {"pools: {a: {<<: {workers: 3}}}", "f.yaml:1:13: a key must be text"},
		"alias":                 {"host: *a", "f.yaml:1:7: host must be text"},
		"second document":       {"host: a\n---\ngrace: 1s", "f.yaml:3:1: a second YAML document"},
		"tab":                   {"pools:\n\ta: b", "f.yaml:2:1: found character '\t'"},
		"unclosed bracket":      {"a: [", "f.yaml:1:4: sequence end token ']' not found"},
		"unclosed quote":        {`host: "a`, "f.yaml:1:7: could not find end character"},
		"bad pool name":         {"pools: {A: {}}", "the pool name A in f.yaml:1:9: a pool name is"},
		"bad variable":          {"pools: {a: {env: {A-B: c}}}", "env A-B in f.yaml:1:19: a variable's name is"},
		"reserved variable":     {"pools: {a: {env: {SNAKEPIT_READY_FD: 1}}}", "env SNAKEPIT_READY_FD in f.yaml:1:19: snakepit sets"},
		"bad value":             {"pools:\n  a:\n    workers: 0", "workers 0 in f.yaml:3:14: the number of workers must be from 1 to 4096\n   2 |   a:\n   3 |     workers: 0\n     |              ^"},
		"bad duration":          {"grace: 5", "grace 5 in f.yaml:1:8: it is not a duration"},
		"missing directory":     {"python_path: [no]", "python_path no in f.yaml:1:15: there is no such directory: /nowhere/no"},
		"not UTF-8":             {"host: \xff", "f.yaml: it is not UTF-8 text"},
		"long line":             {strings.Repeat("- ", 5000), "f.yaml: line 1 is longer than 8 KiB"},
		"deep nesting":          {strings.Repeat("[", 5000), "f.yaml: it has more than 1000 opening brackets"},
		"ports run out of them": {"pools: {a: {workers: 10, base_port: 65530}}", `base port 65530 of pool "a": 10 workers need the ports 65530 to 65539`},
		"long line in excerpt":  {"x: " + strings.Repeat("é\t", 1000), "f.yaml:1:1: unknown key x\n   1 | x: " + strings.Repeat("é ", 78) + "é\n     | ^"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := resolveText(tt.text)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("err = %v, want an *Error", err)
			}
			if !strings.HasPrefix(err.Error(), "cannot use "+tt.want) {
				t.Errorf("(-want prefix +got):\n%s", cmp.Diff("cannot use "+tt.want, err.Error()))
			}
			checkHint(t, e.Hint)
		})
	}
}

func TestDocumentUnknownKeyHint(t *testing.T) {
	for text, want := range map[string]string{
		"x: 1":               "known here: features, grace, health_interval, health_timeout, host, log_format, max_restarts, metrics, orphans, pools, python, python_path, ready_timeout, release_timeout, run_id",
		"features: {x: 1}":   "known here: emergency_cleanup, resource_cleanup",
		"pools: {a: {x: 1}}": "known here: adapter, base_port, command, env, max_calls, max_memory, preload, ready, standby, start_method, ttl, workers",
	} {
		_, err := parseDocument("f.yaml", []byte(text))
		var e *Error
		if !errors.As(err, &e) || e.Hint != want {
			t.Errorf("%s: %#v, want the hint %q", text, err, want)
		}
	}
}

func TestDocumentEnvKeepsTheText(t *testing.T) {
	const text = `
pools:
  a:
    env:
      FRACTION: 1.10
      "YES": true
      NEGATIVE: -5
      OCTAL: 0o17
      DAY: 2020-01-01
      QUOTED: "a: b # c"
      EMPTY: ""
      LINES: |
        one
        two
`
	cfg, err := resolveText(text)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"FRACTION": "1.10", "YES": "true", "NEGATIVE": "-5", "OCTAL": "0o17", "DAY": "2020-01-01",
		"QUOTED": "a: b # c", "EMPTY": "", "LINES": "one\ntwo\n",
	}
	if diff := cmp.Diff(want, cfg.Pools[0].Env); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocumentSaysNothing(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# only a comment\n", "---\n", "{}", "~", "pools:\nhost:\npython_path:\n", "\ufeff# bom"} {
		cfg, err := resolveText(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff([]Pool{byDefault(Pool{Name: "default", Workers: 4, Adapter: DefaultAdapter})}, cfg.Pools); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// resolveText is Load over one file's text, without a disk: relative paths
// start in a directory that does not exist.
func resolveText(text string) (Config, error) {
	doc, err := parseDocument("f.yaml", []byte(text))
	if err != nil {
		return Config{}, err
	}
	l := layers{in: Input{Getenv: env(nil), WorkDir: "/"}, file: doc, dir: "/nowhere"}
	cfg, err := l.resolve()
	if err != nil {
		return Config{}, err
	}
	return cfg, cfg.Validate()
}

func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		"", "pools: {a: {command: [a, '{port}', 3], ready: 'log:^x', ttl: 1h, max_memory: 1.5GiB, max_calls: 7}}",
		"max_restarts: 0/1s\nrelease_timeout: 1s\nhealth_interval: 0\nhealth_timeout: 1s\npools:\n  a:\n    command: python 'a b' \"c\" \\d {port}\n",
		"run_id: demo\npython: p\npython_path: [/]\norphans: warn\nfeatures: {emergency_cleanup: off}\nhost: ::1\nready_timeout: 30s\ngrace: 0\n",
		"pools:\n  default:\n    workers: 8\n    adapter: module.Class\n    base_port: 50051\n    env: {KEY: value, N: 1.0}\n",
		"a: b: c", "host: &a x\ngrace: *a", "? a\n: b", "<<: {a: b}", "- - - a", "!!map {}", "\"\\x", "a: |\n  b\n", "%YAML 1.2\n---\n{}",
		"pools: {a: {base_port: 1}, b: {base_port: 3}}", "\ufeffhost: localhost", "host:\t\"\u00e9\"", "---\n...\n---\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := resolveText(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("err = %v, want an *Error", err)
			}
			return
		}
		if err := cfg.Validate(); err != nil {
			t.Fatalf("a second look found: %v", err)
		}
		data, err := cfg.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back Config
		if err := back.UnmarshalJSON(data); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(cfg, back); diff != "" {
			t.Fatalf("there and back in JSON (-want +got):\n%s", diff)
		}
	})
}
