package pyenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const goodAnswer = probePrefix + `{"version": [3, 11, 2], "executable": "/v/bin/python", "base": "/usr/bin/python3",` +
	` "modules": {"grpc": "/v/grpc/__init__.py", "google.protobuf": null, "grpc_health": "/v/grpc_health/__init__.py"}}` + "\n"

func TestParseAnswer(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(goodAnswer, old, new, 1) }
	tests := []struct {
		name, output string
		ok           bool
	}{
		{"alone", goodAnswer, true},
		{"in noise", "hello\n" + goodAnswer + "bye\n", true},
		{"unknown executable", swap("/v/bin/python", ""), true},
		{"nothing", "", false},
		{"echoed script", probeScript, false},
		{"twice", goodAnswer + goodAnswer, false},
		{"not at the start of a line", " " + goodAnswer, false},
		{"half", goodAnswer[:60], false},
		{"more behind", swap("}}", "}} {}"), false},
		{"unknown field", swap(`"base"`, `"basis": "", "base"`), false},
		{"short version", swap("3, 11, 2", "3, 11"), false},
		{"long version", swap("3, 11, 2", "3, 11, 2, 1"), false},
		{"negative version", swap("3, 11, 2", "3, -1, 2"), false},
		{"no version", swap("[3, 11, 2]", "null"), false},
		{"relative path", swap("/v/bin/python", "bin/python"), false},
		{"relative module", swap("/v/grpc/", "grpc/"), false},
		{"zero byte", swap("/v/bin/python", `/v/bin\u0000/python`), false},
		{"module not told", swap(`"grpc_health"`, `"other"`), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, err := parseAnswer(test.output)
			if (err == nil) != test.ok {
				t.Fatalf("parseAnswer = %+v, %v; want ok = %t", a, err, test.ok)
			}
			if missing := a.missing(); test.ok && (len(missing) != 1 || missing[0].pip != "protobuf") {
				t.Errorf("missing = %v, want protobuf", missing)
			}
		})
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(goodAnswer)
	f.Add("noise\n" + goodAnswer)
	f.Add(probePrefix + "{}")
	f.Add(probePrefix + `{"version": [1e99, 0, 0]}`)
	f.Fuzz(func(t *testing.T, output string) {
		a, err := parseAnswer(output)
		if err != nil {
			return
		}
		if a.Version[0] < 2 || strings.Count(output, probePrefix) < 1 {
			t.Errorf("took %q for %+v", output, a)
		}
		paths := []string{a.Executable, a.Base}
		for _, r := range required() {
			if origin := a.Modules[r.module]; origin != nil {
				paths = append(paths, *origin)
			}
		}
		for _, path := range paths {
			if path != "" && !filepath.IsAbs(path) {
				t.Errorf("took %q with path %q", output, path)
			}
		}
	})
}

func TestTooOld(t *testing.T) {
	for _, test := range []struct {
		version version
		want    bool
	}{
		{version{2, 7, 18}, true},
		{version{3, 9, 21}, true},
		{version{3, 10, 0}, false},
		{version{3, 14, 1}, false},
		{version{4, 0, 0}, false},
	} {
		if got := test.version.tooOld(); got != test.want {
			t.Errorf("%s is too old: %t, want %t", test.version, got, test.want)
		}
	}
}

// The real script, against the real interpreter. What lies in the working
// directory, and a folder without an __init__.py, are no packages.
func TestProbeOfARealPython(t *testing.T) {
	path, ok := lookPath("python3", os.Getenv("PATH"))
	if !ok {
		t.Fatal("these tests need python3 on PATH")
	}
	packages, decoy := t.TempDir(), t.TempDir()
	for _, file := range []string{
		packages + "/google/protobuf/__init__.py", packages + "/grpc/no_package.py",
		decoy + "/grpc_health/__init__.py", decoy + "/json.py",
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("raise SystemExit('imported')"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(decoy)
	// Without site-packages, where a developer may have the real ones.
	python := fake{probe: `shift; exec "` + path + `" -S -c "$@"`}.install(t, t.TempDir(), "python3")
	t.Setenv("PYTHONPATH", packages)
	a, err := probe(t.Context(), python, inherited(), probeTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if a.Version.tooOld() || a.Executable == "" || a.Base == "" {
		t.Errorf("answer = %+v", a)
	}
	var missing []string
	for _, r := range a.missing() {
		missing = append(missing, r.module)
	}
	if want := []string{"grpc", "grpc_health"}; !slices.Equal(missing, want) {
		t.Errorf("missing = %v, want %v", missing, want)
	}
}

func TestProbeGivesUpOnAHangingInterpreter(t *testing.T) {
	fifo := makeFIFO(t)
	python := fake{probe: "exec 3>'" + fifo + "'; echo started >&3; exec sleep 300"}.install(t, t.TempDir(), "python3")
	result := make(chan error, 1)
	go func() {
		_, err := probe(t.Context(), python, inherited(), 2*time.Second)
		result <- err
	}()
	reader := openFIFO(t, fifo, nil)
	problem, ok := errors.AsType[*Error](<-result)
	if !ok || problem.Kind != NotFound || !strings.Contains(problem.Message, "no answer within 2s") {
		t.Errorf("error = %v", problem)
	}
	waitEOF(t, reader)
}

func TestProbeTellsCancelFromTimeout(t *testing.T) {
	python := fake{}.install(t, t.TempDir(), "python3")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := probe(ctx, python, inherited(), time.Minute)
	if problem, ok := errors.AsType[*Error](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v and no %T", err, context.Canceled, problem)
	}
}
