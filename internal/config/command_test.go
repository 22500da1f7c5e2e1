package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommandWords(t *testing.T) {
	for name, tt := range map[string]struct {
		flag, file string
		want       []string
	}{
		"words":          {flag: "python  server.py\t--port {port}", want: []string{"python", "server.py", "--port", "{port}"}},
		"quotes":         {flag: `a 'b c' "d 'e'" f\ g ''`, want: []string{"a", "b c", "d 'e'", "f g", ""}},
		"no shell":       {flag: "a $HOME *.py | b && c > d", want: []string{"a", "$HOME", "*.py", "|", "b", "&&", "c", ">", "d"}},
		"placeholders":   {flag: "{pool}/s {host}:{port} {worker}@{run_id}", want: []string{"{pool}/s", "{host}:{port}", "{worker}@{run_id}"}},
		"other braces":   {flag: `a '{"port": {}}' {} {1} {a-b}`, want: []string{"a", `{"port": {}}`, "{}", "{1}", "{a-b}"}},
		"port not named": {flag: "server", want: []string{"server"}},
		"in the file":    {file: "command: python 'a b.py' --port {port}", want: []string{"python", "a b.py", "--port", "{port}"}},
		"folded":         {file: "command: >\n  server\n  --port {port}\n", want: []string{"server", "--port", "{port}"}},
		"list":           {file: "command: [python, a b.py, -n, 010, --yes, true, '{port}', 'it''s']", want: []string{"python", "a b.py", "-n", "010", "--yes", "true", "{port}", "it's"}},
		"block":          {file: "command:\n- server\n- --port={port}\n", want: []string{"server", "--port={port}"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{WorkDir: t.TempDir(), Getenv: env(nil)}
			if tt.flag != "" {
				in.Flags = map[string]string{"command": tt.flag}
			} else {
				in.File = write(t, in.WorkDir, "pools:\n  a:\n    "+strings.ReplaceAll(tt.file, "\n", "\n    "))
			}
			got := load(t, in)
			if diff := cmp.Diff(tt.want, got.Pools[0].Command); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if p := got.Pools[0]; p.Ready != "health" || p.Adapter != "" || got.NeedsPython() {
				t.Errorf("ready %q, adapter %q, needs Python: %t", p.Ready, p.Adapter, got.NeedsPython())
			}
		})
	}
}

func TestCommandOrAdapter(t *testing.T) {
	const one = "pools: {a: {command: server}}"
	for name, tt := range map[string]struct {
		file        string
		flags, vars map[string]string
		want        string // beginning of the error
	}{
		"both as flags": {
			flags: map[string]string{"command": "server", "adapter": "m:C"},
			want:  `cannot use --command server: the pool has an adapter, too: --adapter "m:C"`,
		},
		"one in the file": {
			file: one, vars: map[string]string{"SNAKEPIT_ADAPTER": "m:C"},
			want: "cannot use command server in snakepit.yaml:1:22: the pool has an adapter, too: SNAKEPIT_ADAPTER=\"m:C\"\n   1 | " + one,
		},
		"both in the file": {
			file: "pools: {a: {command: [server, x], adapter: 'm:C'}}",
			want: `cannot use command "server x" in snakepit.yaml:1:22: the pool has an adapter, too: adapter "m:C" in snakepit.yaml:1:44`,
		},
		"ready of an adapter": {
			file: "pools: {a: {adapter: 'm:C', ready: tcp}}",
			want: "cannot use ready tcp in snakepit.yaml:1:36: the pool has no command",
		},
		"which pool": {
			file: "pools: {a: {}, b: {}}", flags: map[string]string{"command": "server"},
			want: "cannot use --command server: the file defines 2 pools (a, b)",
		},
		"each its own": {
			file: "pools: {a: {command: server, ready: 'log:^serving \\d'}, b: {adapter: 'm:C'}}", vars: map[string]string{"SNAKEPIT_POOL": "a", "SNAKEPIT_READY": "tcp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			in := Input{WorkDir: dir, Flags: tt.flags, Getenv: env(tt.vars)}
			if tt.file != "" {
				in.File = write(t, dir, tt.file)
			}
			got, err := Load(in)
			if tt.want != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("err = %v\nwant  %s...", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := []Pool{
				byDefault(Pool{Name: "a", Workers: 4, Command: []string{"server"}, Ready: "tcp"}),
				byDefault(Pool{Name: "b", Workers: 4, Adapter: "m:C"}),
			}
			if diff := cmp.Diff(want, got.Pools); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !got.NeedsPython() {
				t.Error("it needs no Python for pool b")
			}
		})
	}
}
