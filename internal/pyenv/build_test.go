package pyenv

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNothingToMakeAnEnvironmentFrom(t *testing.T) {
	tests := []struct {
		name    string
		fakes   map[string]fake
		kind    Kind
		message string
	}{
		{"empty PATH", nil, NoPython, "no python3 on PATH"},
		{"a dead shim", map[string]fake{"python3": {probe: "echo 'pyenv: not found' >&2; exit 127"}}, NoPython, "pyenv: not found"},
		{"only old ones", map[string]fake{"python3": {version: "[3, 8, 10]"}, "python": {version: "[2, 7, 18]"}}, TooOld, "python3: it is Python 3.8.10"},
		{
			"without venv",
			map[string]fake{"python3": {venv: "echo 'because ensurepip is not available.'; exit 1"}},
			NoVenv, "lacks venv or ensurepip\n    because",
		},
		{
			"venv fails otherwise",
			map[string]fake{"python3": {venv: "echo 'Error: boom' >&2; exit 1"}},
			InstallFailed, "exit status 1\n    Error: boom",
		},
		{
			"no network",
			map[string]fake{"python3": {pip: "echo 'WARNING: NewConnectionError(): Temporary failure in name resolution' >&2; echo 'ERROR: No matching distribution found for grpcio'; exit 1"}},
			InstallFailed, "no network, or the package index cannot be reached\n    WARNING",
		},
		{
			"pip fails otherwise",
			map[string]fake{"python3": {pip: "echo 'ERROR: No matching distribution found for grpcio'; exit 1"}},
			InstallFailed, "exit status 1\n    ERROR: No matching distribution found for grpcio",
		},
		{
			"pip installs elsewhere",
			map[string]fake{"python3": {missing: true}},
			InstallFailed, "grpcio is not there after the installation",
		},
		{
			"the packages do not load",
			map[string]fake{"python3": {imports: "echo 'ImportError: libstdc++.so.6' >&2; exit 1"}},
			InstallFailed, "cannot be imported\n    ImportError: libstdc++",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
			for name, f := range test.fakes {
				f.install(t, dir, name)
			}
			_, err := resolve(t, Options{Path: dir, CacheDir: cache})
			if err == nil {
				t.Fatal("it was made")
			}
			if err.Kind != test.kind || !strings.Contains(err.Message, test.message) {
				t.Errorf("error = %s: %s\nwant %s: %s", err.Kind, err.Message, test.kind, test.message)
			}
			if left, _ := filepath.Glob(cache + "/python/*/*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestSkipsAnOldPythonForANewerName(t *testing.T) {
	dir := t.TempDir()
	fake{version: "[3, 9, 1]"}.install(t, dir, "python3")
	want := fake{}.install(t, dir, "python3.12")
	found, err := findBase(t.Context(), dir)
	if err != nil || found.Base != want {
		t.Errorf("findBase = %+v, %v; want %s", found, err, want)
	}
}

func TestInstallersKeepTheUsersIndexAndNotTheirPlace(t *testing.T) {
	bin := t.TempDir()
	fake{pip: "env > '" + bin + "/env'"}.install(t, bin, "python3")
	t.Setenv("PIP_INDEX_URL", "https://index.invalid/simple")
	for _, name := range []string{"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PIP_TARGET"} {
		t.Setenv(name, "/nowhere")
	}
	t.Setenv("PIP_USER", "1")
	if _, err := resolve(t, Options{Path: bin}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(bin, "env"))
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(string(text), "\n")
	for _, want := range []string{"PIP_INDEX_URL=https://index.invalid/simple", "PIP_USER=0"} {
		if !slices.Contains(env, want) {
			t.Errorf("pip did not get %s", want)
		}
	}
	if strings.Contains(string(text), "/nowhere") {
		t.Errorf("pip got a /nowhere:\n%s", text)
	}
}

func TestUVIsPreferredAndItsFailureSurvived(t *testing.T) {
	for _, test := range []struct {
		name, script string
		pip          bool
	}{
		{"works", "case \"$1\" in venv) mkdir -p \"$last/bin\" && cp PYTHON \"$last/bin/python\";; esac", false},
		{"fails", "exit 2", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bin := t.TempDir()
			python := fake{}.install(t, bin, "python3")
			script := "#!/bin/sh\nfor last; do :; done\n" + strings.ReplaceAll(test.script, "PYTHON", python) + "\n"
			if err := os.WriteFile(filepath.Join(bin, "uv"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := resolve(t, Options{Path: bin}); err != nil {
				t.Fatal(err)
			}
			log := strings.Join(calls(t, bin), "\n")
			if used := strings.Contains(log, "-m pip install"); used != test.pip {
				t.Errorf("pip was used: %t, want %t\n%s", used, test.pip, log)
			}
		})
	}
}
