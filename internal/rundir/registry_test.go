package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func openTestRegistry(t *testing.T, write func(string, []byte) error) (*Registry, string) {
	t.Helper()
	dir := t.TempDir()
	reg, err := openRegistry(registryPath(dir), write)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	return reg, dir
}

func onDisk(t *testing.T, dir string) []Entry {
	t.Helper()
	entries, err := ReadRegistry(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestRegistry(t *testing.T) {
	reg, dir := openTestRegistry(t, replace)
	if got := onDisk(t, dir); len(got) != 0 {
		t.Errorf("a new registry has %v", got)
	}
	a := Entry{Worker: "a-0", Pool: "a", Host: "127.0.0.1", Port: 5000, Incarnation: 1}
	b := Entry{Worker: "b-0", Pool: "b", Host: "::1", Port: 5001, Incarnation: 7, PID: 4711, Start: 1 << 63, Boot: "x"}
	a2 := a
	a2.PID = 4712
	for _, step := range []struct {
		do   func() error
		want []Entry
	}{
		{func() error { return reg.Put(b) }, []Entry{b}},
		{func() error { return reg.Put(a) }, []Entry{a, b}},
		{func() error { return reg.Put(a2) }, []Entry{a2, b}},
		{func() error { return reg.Remove("b-0") }, []Entry{a2}},
		{func() error { return reg.Remove("b-0") }, []Entry{a2}},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, onDisk(t, dir)); diff != "" {
			t.Errorf("on disk (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(step.want, reg.Entries()); diff != "" {
			t.Errorf("in memory (-want +got):\n%s", diff)
		}
	}
	reg.Close()
	if err := reg.Put(b); !errors.Is(err, ErrRegistryClosed) {
		t.Errorf("after Close: %v", err)
	}
	if diff := cmp.Diff([]Entry{a2}, reg.Entries()); diff != "" {
		t.Errorf("after Close (-want +got):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("temporary files: %v", left)
	}
}

func TestRegistryManyAtOnce(t *testing.T) {
	reg, dir := openTestRegistry(t, replace)
	const n = 200
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			e := Entry{Worker: fmt.Sprintf("w-%03d", i), PID: 1000 + i}
			if err := reg.Put(e); err != nil {
				t.Error(err)
				return
			}
			// The promise: it is on disk when Put returns.
			entries, err := ReadRegistry(dir)
			if err != nil || !contains(entries, e) {
				t.Errorf("%s is not on disk after Put (%v)", e.Worker, err)
			}
		})
	}
	wg.Wait()
	if got := len(onDisk(t, dir)); got != n {
		t.Errorf("%d entries on disk, want %d", got, n)
	}
}

func contains(entries []Entry, e Entry) bool {
	for _, x := range entries {
		if x == e {
			return true
		}
	}
	return false
}

// TestRegistryGathers holds the first change's write until all others wait.
func TestRegistryGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		writes := 0
		reg, err := openRegistry("", func(string, []byte) error {
			if writes++; writes == 2 { // the first is of the empty registry
				<-proceed
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		const n = 200
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if err := reg.Put(Entry{Worker: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(proceed)
		wg.Wait()
		reg.Close()
		if got := len(reg.Entries()); got != n {
			t.Errorf("%d entries, want %d", got, n)
		}
		// The empty registry, the change that came first, all the others.
		if writes > 4 {
			t.Errorf("%d writes for %d changes", writes, n)
		}
	})
}

func TestRegistryFailedWriteChangesNothing(t *testing.T) {
	full := errors.New("no space left on device")
	fail := false
	reg, _ := openTestRegistry(t, func(string, []byte) error {
		if fail {
			return full
		}
		return nil
	})
	if err := reg.Put(Entry{Worker: "a"}); err != nil {
		t.Fatal(err)
	}
	fail = true
	if err := reg.Put(Entry{Worker: "b"}); err == nil || !strings.HasSuffix(err.Error(), full.Error()) {
		t.Errorf("Put: %v", err)
	}
	if err := reg.Remove("a"); err == nil {
		t.Error("Remove did not fail")
	}
	if diff := cmp.Diff([]Entry{{Worker: "a"}}, reg.Entries()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRegistryRefuses(t *testing.T) {
	reg, _ := openTestRegistry(t, replace)
	for _, e := range []Entry{{}, {Worker: "a", PID: -1}, {Worker: "a", PID: 1}, {Worker: "a", Port: 65536}} {
		if err := reg.Put(e); err == nil {
			t.Errorf("%+v was registered", e)
		}
	}
}

func TestReadRegistryBroken(t *testing.T) {
	for name, text := range map[string]string{
		"empty":      "",
		"half":       `{"schema_version":1,"workers":[{"wor`,
		"not JSON":   "hello",
		"version":    `{"schema_version":2,"workers":[]}`,
		"everybody":  `{"schema_version":1,"workers":[{"worker":"a","pid":-1}]}`,
		"init":       `{"schema_version":1,"workers":[{"worker":"a","pid":1}]}`,
		"anonymous":  `{"schema_version":1,"workers":[{"pid":5}]}`,
		"twice":      `{"schema_version":1,"workers":[{"worker":"a"},{"worker":"a"}]}`,
		"wrong type": `{"schema_version":1,"workers":{"a":1}}`,
	} {
		dir := t.TempDir()
		writeFile(t, text, dir, "workers.json")
		if got, err := ReadRegistry(dir); err == nil || !strings.Contains(err.Error(), RegistryPath(dir)) {
			t.Errorf("%s: %v, %v, want an error that names the file", name, got, err)
		}
	}
	if got, err := ReadRegistry(t.TempDir()); got != nil || err != nil {
		t.Errorf("no registry: %v, %v", got, err)
	}
}

func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, "broken", dir, "workers.json")
	to, err := SetAside(RegistryPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(to, RegistryPath(dir)+".corrupt-") {
		t.Errorf("set aside as %s", to)
	}
	if data, err := os.ReadFile(to); string(data) != "broken" || err != nil {
		t.Errorf("%s holds %q, %v", to, data, err)
	}
	if _, err := ReadRegistry(dir); err != nil {
		t.Errorf("the place is not free: %v", err)
	}
	if _, err := SetAside(RegistryPath(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing to set aside: %v", err)
	}
}

func FuzzRegistry(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", `{"schema_version":1,"workers":[{"worker":"a","pool":"p","host":"h","port":1,"incarnation":2,"pid":3,"start":4,"boot":"b"}]}`,
		`{"schema_version":1,"workers":[{"worker":"a","pid":-1}]}`, `{"schema_version":1,"workers":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseRegistry(data)
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Worker == "" || e.PID < 0 || e.PID == 1 {
				t.Fatalf("accepted %+v", e)
			}
		}
	})
}

// TestReplaceNamesTheFile: the name of the file that was to take its place is
// nobody's business, and it is gone.
func TestReplaceNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "folder", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "no", "run.json"), filepath.Join(dir, "folder")} {
		var failed *fs.PathError
		if err := replace(path, nil); !errors.As(err, &failed) || failed.Path != path || strings.Contains(failed.Err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
