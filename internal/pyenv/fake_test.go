package pyenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A fake is a shell script that answers like a Python. Its zero value serves
// well; its fields are what differs, in shell.
type fake struct {
	version string // "[3, 12, 1]"
	missing bool   // the modules are not there
	probe   string // runs instead of the answer to the probe
	venv    string // runs before "-m venv"
	pip     string // runs in place of "-m pip"
	imports string // runs in place of the real import
}

// install writes f to dir/name, with a log of its calls beside it.
func (f fake) install(t testing.TB, dir, name string) string {
	t.Helper()
	origin := `"'"$0"'"`
	if f.missing {
		origin = "null"
	}
	modules := `{"grpc": ` + origin + `, "google.protobuf": ` + origin + `, "grpc_health": ` + origin + `}`
	answer := `echo 'noise of a sitecustomize'; echo 'snakepit-probe:{"version": ` + or(f.version, "[3, 12, 1]") +
		`, "executable": "'"$0"'", "base": "'"$0"'", "modules": ` + modules + `}'`
	script := `#!/bin/sh
echo "$*" | tr '\n' ' ' >> '` + dir + `/calls.log'
echo >> '` + dir + `/calls.log'
for last; do :; done
case "$1 $2" in
*find_spec*) ` + or(f.probe, answer) + ` ;;
"-c import "*) ` + or(f.imports, ":") + ` ;;
"-m venv") ` + or(f.venv, ":") + `
	mkdir -p "$last/bin" && cp "$0" "$last/bin/python" ;;
"-m pip") ` + or(f.pip, ":") + ` ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
`
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// calls returns the calls of all fakes in dir since they were installed.
func calls(t *testing.T, dir string) []string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(dir, "calls.log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(log)), "\n")
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
