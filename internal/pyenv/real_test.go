package pyenv

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Two first starts at once, after a third that was killed while pip ran, with
// the real Python and the real packages.
func TestRealEnvironment(t *testing.T) {
	if testing.Short() {
		t.Skip("installs packages")
	}
	cache, path := t.TempDir(), os.Getenv("PATH")
	killed := startResolver(t, cache, path)
	killed.until(t, "progress: installing ")
	killed.kill(t)

	a, b := startResolver(t, cache, path), startResolver(t, cache, path)
	python := a.until(t, "python: ")
	if other := b.until(t, "python: "); other != python {
		t.Errorf("two environments: %s and %s", python, other)
	}
	told := strings.Join(append(a.lines, b.lines...), "\n")
	if made := strings.Count(told, "progress: making "); made != 1 {
		t.Errorf("made %d times:\n%s", made, told)
	}
	cmd := exec.Command(python, "-c", "import grpc, google.protobuf, grpc_health.v1.health; print(grpc.__version__)")
	cmd.Dir = t.TempDir()
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the environment does not serve: %v\n%s", err, output)
	}
	// A Python that has what it takes serves by name, and a warm start tells
	// nothing.
	env, err := Resolve(t.Context(), Options{Python: python, CacheDir: cache})
	if err != nil || env.Python != python {
		t.Errorf("by name: %+v, %v; want %s", env, err, python)
	}
	env, err = Resolve(t.Context(), Options{CacheDir: cache, Path: path, Progress: func(step string) {
		t.Errorf("the warm start told %q", step)
	}})
	if err != nil || env.Python != python {
		t.Errorf("warm: %+v, %v; want %s", env, err, python)
	}
}
