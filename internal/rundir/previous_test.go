package rundir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCreateSetsAside: what cannot be read may be all that names the processes
// of a dead supervisor. A start keeps it, says so, and does not fail.
func TestCreateSetsAside(t *testing.T) {
	root := t.TempDir()
	create(t, root, "demo").Close()
	dir := filepath.Join(root, "demo")
	broken := map[string]string{"workers.json": `{"schema_version":1,"workers":[{"wor`, "run.json": `{"schema_version":9}`}
	for name, text := range broken {
		writeFile(t, text, dir, name)
	}
	run := create(t, root, "demo")
	if len(run.Broken()) != len(broken) || run.Previous() != nil || run.Leftover() != nil {
		t.Errorf("broken %v, previous %v, leftover %v", run.Broken(), run.Previous(), run.Leftover())
	}
	for _, p := range run.Broken() {
		name := filepath.Base(p.Path)
		aside := onlyMatch(t, dir, name+".corrupt-*")
		if text, err := os.ReadFile(aside); string(text) != broken[name] || err != nil {
			t.Errorf("%s holds %q, %v", aside, text, err)
		}
		if !strings.HasSuffix(p.Reason, "; it was set aside as "+filepath.Base(aside)) || strings.Count(p.String(), name) != 2 {
			t.Errorf("it says %q", p)
		}
	}
	run.Close()

	again := create(t, root, "demo")
	if len(again.Broken()) > 0 {
		t.Errorf("the next start finds %v", again.Broken())
	}
	for name := range broken {
		onlyMatch(t, dir, name+".corrupt-*")
	}
}

func onlyMatch(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v; want one file", pattern, found, err)
	}
	return found[0]
}
