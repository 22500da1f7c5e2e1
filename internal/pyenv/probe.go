package pyenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

const (
	minimumText  = "3.10"
	probePrefix  = "snakepit-probe:"
	probeTimeout = 20 * time.Second // a cold disk and an antivirus, not a slow Python
)

// A requirement is a module that the worker imports, with the package that
// brings it and the oldest release that works with our generated code.
type requirement struct{ module, pip, minimum string }

func required() []requirement {
	return []requirement{
		{"grpc", "grpcio", "1.62"},
		{"google.protobuf", "protobuf", "4.25"},
		{"grpc_health", "grpcio-health-checking", "1.62"},
	}
}

// probeScript asks without importing: find_spec takes 15 ms where importing
// grpc takes 150. It raises when the parent package is absent. Python 2 must
// be able to parse the script, so that it can say how old it is. The empty
// entry of sys.path is the working directory, where a folder named grpc would
// be taken for the package.
const probeScript = `
import sys
sys.path[:] = [p for p in sys.path if p]
import json
def origin(name):
    try:
        from importlib.util import find_spec
        return find_spec(name).origin
    except Exception:
        return None
print("` + probePrefix + `" + json.dumps({
    "version": sys.version_info[:3],
    "executable": sys.executable or "",
    "base": getattr(sys, "_base_executable", "") or sys.executable or "",
    "modules": dict((name, origin(name)) for name in sys.argv[1:]),
}))
`

type version [3]int

func (v version) tooOld() bool { return v[0] < 3 || v[0] == 3 && v[1] < 10 }

// UnmarshalJSON refuses fewer and more than three numbers, which an array
// would take.
func (v *version) UnmarshalJSON(text []byte) error {
	var parts []int
	if err := json.Unmarshal(text, &parts); err != nil {
		return err
	}
	if len(parts) != len(v) {
		return fmt.Errorf("a version of %d numbers", len(parts))
	}
	*v = version(parts)
	return nil
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// An answer is what an interpreter says about itself.
type answer struct {
	Version    version            `json:"version"`
	Executable string             `json:"executable"` // sys.executable; "" when Python does not know
	Base       string             `json:"base"`       // the interpreter behind a virtual environment
	Modules    map[string]*string `json:"modules"`    // the file of each required module; nil when it is missing
}

func (a answer) missing() []requirement {
	var missing []requirement
	for _, r := range required() {
		if a.Modules[r.module] == nil {
			missing = append(missing, r)
		}
	}
	return missing
}

// interpreter is the path to start workers by. Version managers put shell
// scripts on PATH (pyenv and asdf call them shims); behind one the process we
// watch might not be the worker, and each start would pay for the script.
func (a answer) interpreter(asked string) string {
	if path, err := executable(a.Executable); err == nil {
		return path
	}
	return asked
}

// probe runs the interpreter at path once. Anything that is not a Python
// comes back as an *Error of kind NotFound.
func probe(ctx context.Context, path string, env []string, timeout time.Duration) (answer, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := []string{"-c", probeScript}
	for _, r := range required() {
		args = append(args, r.module)
	}
	var stdout, stderr tail
	err := run(limited, command{path: path, args: args, env: env, stdout: &stdout, stderr: &stderr})
	switch {
	case ctx.Err() != nil:
		return answer{}, fmt.Errorf("cannot ask %s for its version: %w", path, context.Cause(ctx))
	case limited.Err() != nil:
		return answer{}, notFoundError(path, fmt.Sprintf("no answer within %s", timeout), err)
	case err != nil:
		return answer{}, notFoundError(path, err.Error()+indented(lastLines(stderr.String())), err)
	}
	found, err := parseAnswer(stdout.String())
	if err != nil {
		return answer{}, notFoundError(path, "it does not answer like a Python", err)
	}
	return found, nil
}

// parseAnswer finds the one line that is ours: a sitecustomize may print
// anything around it.
func parseAnswer(output string) (answer, error) {
	var lines []string
	for line := range strings.Lines(output) {
		if rest, ok := strings.CutPrefix(line, probePrefix); ok {
			lines = append(lines, rest)
		}
	}
	if len(lines) != 1 {
		return answer{}, fmt.Errorf("cannot read the probe's answer: %d lines of it", len(lines))
	}
	var a answer
	decoder := json.NewDecoder(bytes.NewReader([]byte(lines[0])))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		return answer{}, fmt.Errorf("cannot read the probe's answer: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return answer{}, errors.New("cannot read the probe's answer: more than one value")
	}
	return a, a.check()
}

func (a answer) check() error {
	if a.Version[0] < 2 || a.Version[1] < 0 || a.Version[2] < 0 {
		return fmt.Errorf("cannot read the probe's answer: version %v", a.Version)
	}
	paths := []string{a.Executable, a.Base}
	for _, r := range required() {
		origin, asked := a.Modules[r.module]
		if !asked {
			return fmt.Errorf("cannot read the probe's answer: nothing about %s", r.module)
		}
		if origin != nil {
			paths = append(paths, *origin)
		}
	}
	for _, path := range paths {
		if path != "" && !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
			return fmt.Errorf("cannot read the probe's answer: path %q", path)
		}
	}
	return nil
}
