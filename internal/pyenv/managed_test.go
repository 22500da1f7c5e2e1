package pyenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestManagedEnvironmentIsMadeOnce(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	fake{}.install(t, bin, "python3")
	var steps []string
	o := Options{Path: bin, CacheDir: cache, Progress: func(step string) { steps = append(steps, step) }}
	first, err := resolve(t, o)
	if err != nil {
		t.Fatal(err)
	}
	if first.Source != SourceManaged || !strings.HasPrefix(first.Python, cache) {
		t.Errorf("environment = %+v", first)
	}
	if len(steps) != 2 || !strings.HasPrefix(steps[0], "making") || !strings.HasPrefix(steps[1], "installing grpcio==") {
		t.Errorf("progress = %q", steps)
	}
	home := filepath.Dir(filepath.Dir(filepath.Dir(first.Python)))
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 2 {
		t.Errorf("beside the environment and its marker: %v, %v", entries, err)
	}
	made := len(calls(t, bin))

	second, err := resolve(t, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("second start (-first +second):\n%s", diff)
	}
	if now := len(calls(t, bin)); now != made || len(steps) != 2 {
		t.Errorf("the second start ran %d processes and told %q", now-made, steps[2:])
	}
}

func TestManagedEnvironmentHeals(t *testing.T) {
	remove := func(t *testing.T, paths ...string) {
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(t *testing.T, path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		damage  func(t *testing.T, env, marker string)
		rebuilt bool
	}{
		{"marker gone", func(t *testing.T, _, marker string) { remove(t, marker) }, true},
		{"marker is half", func(t *testing.T, _, marker string) { write(t, marker, `{"directory": "en`) }, true},
		{"interpreter gone", func(t *testing.T, env, _ string) { remove(t, env+"/bin/python") }, true},
		{"environment gone", func(t *testing.T, env, _ string) { remove(t, env) }, true},
		{"interpreter replaced by a broken one", func(t *testing.T, env, _ string) { write(t, env+"/bin/python", "#!/bin/sh\nexit 1\n") }, true},
		{"interpreter replaced by a good one", func(t *testing.T, env, _ string) {
			text, err := os.ReadFile(env + "/bin/python")
			if err != nil {
				t.Fatal(err)
			}
			write(t, env+"/bin/python", string(text)+"# patched\n")
		}, false},
		{"module gone", func(t *testing.T, _, marker string) {
			text, err := os.ReadFile(marker)
			if err != nil {
				t.Fatal(err)
			}
			write(t, marker, strings.Replace(string(text), `bin/python"`, `bin/gone"`, 1))
		}, false}, // the marker is written anew, since the environment itself serves
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bin, cache := t.TempDir(), t.TempDir()
			fake{}.install(t, bin, "python3")
			o := Options{Path: bin, CacheDir: cache}
			first, err := resolve(t, o)
			if err != nil {
				t.Fatal(err)
			}
			env := filepath.Dir(filepath.Dir(first.Python))
			test.damage(t, env, filepath.Join(filepath.Dir(env), markerName))
			made := len(calls(t, bin))

			second, err := resolve(t, o)
			if err != nil {
				t.Fatal(err)
			}
			if rebuilt := first.Python != second.Python; rebuilt != test.rebuilt {
				t.Errorf("rebuilt = %t, want %t", rebuilt, test.rebuilt)
			}
			built := len(calls(t, bin))
			if built == made {
				t.Error("the damage was not noticed")
			}
			if third, err := resolve(t, o); err != nil || third.Python != second.Python || len(calls(t, bin)) != built {
				t.Errorf("third start = %+v, %v with %d more calls; want %s", third, err, len(calls(t, bin))-built, second.Python)
			}
			if envs := environments(t, cache); len(envs) != 1 {
				t.Errorf("environments = %v, want one", envs)
			}
		})
	}
}

// A marker that names something else than an attempt would have it run.
func TestMarkerNamesAnAttempt(t *testing.T) {
	home := t.TempDir()
	for directory, want := range map[string]bool{
		"env-1": true, "": false, ".": false, "..": false, "other": false, "env-1/..": false, "env-/../../x": false, "/env-1": false,
	} {
		if err := os.WriteFile(filepath.Join(home, markerName), []byte(`{"directory": "`+directory+`", "version": [3, 11, 2]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := readMarker(home); ok != want {
			t.Errorf("directory %q: taken = %t, want %t", directory, ok, want)
		}
	}
}

// The key follows the file behind python3, so another Python gets another
// environment, and a former one is there still when it comes back.
func TestAnotherPythonGetsAnotherEnvironment(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	var made []string
	for _, name := range []string{"one", "two", "one"} {
		fake{}.install(t, filepath.Join(dir, name), "python3")
		env, err := resolve(t, Options{Path: filepath.Join(dir, name), CacheDir: cache})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, env.Python)
	}
	if made[0] == made[1] || made[0] != made[2] {
		t.Errorf("environments = %v", made)
	}
}

func BenchmarkWarmStart(b *testing.B) {
	bin := b.TempDir()
	fake{}.install(b, bin, "python3")
	o := Options{Path: bin, CacheDir: b.TempDir()}
	for b.Loop() {
		if _, err := Resolve(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
}
