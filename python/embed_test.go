package python

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWorkerIsTheSourceWithoutItsTests(t *testing.T) {
	want, err := filepath.Glob("snakepit/*.py")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, Entry)
	slices.Sort(want)
	if !slices.Contains(want, "snakepit/__init__.py") {
		t.Error("snakepit has no __init__.py, so Python would not take it for a package")
	}

	var got []string
	err = fs.WalkDir(Worker(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			got = append(got, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("embedded files (-want +got):\n%s", diff)
	}
}

// A subdirectory would be left out by the embed pattern without a word.
func TestWorkerPackageIsFlat(t *testing.T) {
	nested, err := filepath.Glob("snakepit/*/*.py")
	if err != nil {
		t.Fatal(err)
	}
	if len(nested) > 0 {
		t.Errorf("not embedded: %v", nested)
	}
}

func TestRequirementsArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z0-9-]+==[0-9.]+$`)
	for line := range strings.Lines(Requirements()) {
		if line = strings.TrimSpace(line); !pinned.MatchString(line) {
			t.Errorf("requirement %q does not pin one version", line)
		}
	}
	for _, name := range []string{"grpcio==", "protobuf==", "grpcio-health-checking=="} {
		if !strings.Contains(Requirements(), name) {
			t.Errorf("no requirement %s", name)
		}
	}
}
