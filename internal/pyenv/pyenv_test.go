package pyenv

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// resolve resolves with bin as the whole PATH and a cache of the test's own.
func resolve(t *testing.T, o Options) (Environment, *Error) {
	t.Helper()
	if o.CacheDir == "" {
		o.CacheDir = filepath.Join(t.TempDir(), "cache")
	}
	env, err := Resolve(t.Context(), o)
	if err == nil {
		return env, nil
	}
	problem, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("Resolve = %v, which is no *Error", err)
	}
	if problem.Hint == "" {
		t.Errorf("error %q says not what to do", problem.Message)
	}
	return env, problem
}

func TestNamedInterpreter(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "plain.txt")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	fake{}.install(t, filepath.Join(dir, "venv", "bin"), "python")
	tests := []struct {
		name    string
		python  string
		kind    Kind
		message string
		hint    string
	}{
		{name: "absent", python: dir + "/none", kind: NotFound, message: "/none: no such file"},
		{name: "no such name", python: "python9.9", kind: NotFound, message: "python9.9: no such file"},
		{name: "directory", python: dir, kind: NotFound, message: "is a directory"},
		{
			name: "directory of a venv", python: dir + "/venv", kind: NotFound, message: "is a directory",
			hint: "--python " + dir + "/venv/bin/python",
		},
		{name: "not executable", python: file, kind: NotFound, message: "not an executable file"},
		{name: "below a file", python: file + "/python", kind: NotFound, message: "not a directory"},
		{name: "not a Python", python: "/bin/echo", kind: NotFound, message: "does not answer like a Python"},
		{
			name: "fails", python: fake{probe: "echo 'shim: no such version' >&2; exit 127"}.install(t, dir, "shim"),
			kind: NotFound, message: "exit status 127\n    shim: no such version",
		},
		{
			name: "too old", python: fake{version: "[3, 9, 20]"}.install(t, dir, "old"),
			kind: TooOld, message: dir + "/old: it is Python 3.9.20, and workers need 3.10", hint: "apt install",
		},
		{
			name: "Python 2", python: fake{version: "[2, 7, 18]", missing: true}.install(t, dir, "ancient"),
			kind: TooOld, message: "Python 2.7.18",
		},
		{
			name: "lacks packages", python: fake{missing: true}.install(t, dir, "my python"),
			kind: MissingPackage, message: "it lacks grpcio, protobuf, grpcio-health-checking",
			hint: "'" + dir + "/my python' -m pip install 'grpcio>=1.62' 'protobuf>=4.25' 'grpcio-health-checking>=1.62'",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := resolve(t, Options{Python: test.python, Path: dir})
			if err == nil {
				t.Fatal("it was taken")
			}
			if err.Kind != test.kind || !strings.Contains(err.Message, test.message) || !strings.Contains(err.Hint, test.hint) {
				t.Errorf("error = %s: %s\nhint: %s\nwant %s: …%s…\nhint: …%s…",
					err.Kind, err.Message, err.Hint, test.kind, test.message, test.hint)
			}
		})
	}
}

func TestNamedInterpreterServes(t *testing.T) {
	dir := t.TempDir()
	path := fake{}.install(t, dir, "python3.12")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, test := range []struct{ name, python, want string }{
		{"absolute path", path, path},
		{"relative path", "./python3.12", path},
		{"name on PATH", "python3.12", path},
		{"symlink is kept", link, link},
	} {
		t.Run(test.name, func(t *testing.T) {
			env, err := resolve(t, Options{Python: test.python, Path: dir, VirtualEnv: "/ignored"})
			if err != nil {
				t.Fatal(err)
			}
			if env.Python != test.want || env.Source != SourceNamed || env.Notice != "" {
				t.Errorf("environment = %+v", env)
			}
			if _, err := os.Stat(env.Entry); err != nil {
				t.Errorf("entry: %v", err)
			}
		})
	}
}

// A version manager's shim is a script: the interpreter behind it is the one
// to run.
func TestShimIsReplacedByItsInterpreter(t *testing.T) {
	dir := t.TempDir()
	real := fake{}.install(t, dir, "real")
	shim := fake{probe: `exec "` + real + `" "$@"`}.install(t, dir, "shim")
	env, err := resolve(t, Options{Python: shim})
	if err != nil || env.Python != real {
		t.Errorf("environment = %+v, %v; want %s", env, err, real)
	}
}

func TestVirtualEnvironment(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	fake{}.install(t, bin, "python3")
	fake{}.install(t, filepath.Join(dir, "good/bin"), "python")
	fake{missing: true}.install(t, filepath.Join(dir, "bare/bin"), "python")
	fake{version: "[3, 8, 1]"}.install(t, filepath.Join(dir, "old/bin"), "python")
	fake{probe: "echo 'No module named encodings' >&2; exit 1"}.install(t, filepath.Join(dir, "broken/bin"), "python")
	for _, test := range []struct{ name, source, notice string }{
		{"good", SourceVirtualEnv, ""},
		{"bare", SourceManaged, "bare/bin/python: it lacks grpcio, protobuf, grpcio-health-checking; using the managed"},
		{"old", SourceManaged, "it is Python 3.8.1"},
		{"broken", SourceManaged, "broken/bin/python: exit status 1; using the managed"},
		{"gone", SourceManaged, "gone/bin/python: no such file; using the managed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env, err := resolve(t, Options{VirtualEnv: filepath.Join(dir, test.name), Path: bin})
			if err != nil {
				t.Fatal(err)
			}
			if env.Source != test.source || !strings.Contains(env.Notice, test.notice) || (test.notice == "") != (env.Notice == "") {
				t.Errorf("environment = %+v, want source %q and notice %q", env, test.source, test.notice)
			}
		})
	}
}

func TestRelativePathEntriesAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	fake{}.install(t, filepath.Join(dir, "bin"), "python3")
	t.Chdir(dir)
	if _, err := resolve(t, Options{Path: "bin:.::"}); err == nil || err.Kind != NoPython {
		t.Errorf("error = %v, want kind %s", err, NoPython)
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	fake{}.install(t, dir, "python3")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{
		{CacheDir: filepath.Join(file, "snakepit"), Path: dir},
		{CacheDir: filepath.Join(file, "snakepit"), Python: filepath.Join(dir, "python3")},
	} {
		if _, err := resolve(t, o); err == nil || err.Kind != Cache ||
			!strings.Contains(err.Message, file+"/snakepit") || strings.Count(err.Message, file) != 1 {
			t.Errorf("error = %v, want kind %s naming %s", err, Cache, file)
		}
	}
	if _, err := Resolve(t.Context(), Options{Path: dir}); err == nil {
		t.Error("an unknown cache directory was taken for the working directory")
	}
}
