package pyenv

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/python"
)

func small() fstest.MapFS {
	return fstest.MapFS{
		"entry.py":             {Data: []byte("import package")},
		"package/__init__.py":  {Data: []byte("")},
		"package/sub/thing.py": {Data: []byte("x = 1")},
	}
}

func TestUnpack(t *testing.T) {
	root := filepath.Join(t.TempDir(), "cache", "worker")
	entry, err := unpack(root, small(), "entry.py")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(texts(t, small()), texts(t, os.DirFS(filepath.Dir(entry)))); diff != "" {
		t.Errorf("unpacked (-want +got):\n%s", diff)
	}
	info, err := os.Stat(entry)
	if err != nil || info.Mode() != 0o444 {
		t.Errorf("mode of the entry point = %v, %v; want read-only", info.Mode(), err)
	}
	if info, err := os.Stat(root); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the cache = %v, %v; want 0700", info.Mode(), err)
	}
}

func TestUnpackWritesOnlyWhatIsNotInOrder(t *testing.T) {
	root := t.TempDir()
	entry, err := unpack(root, small(), "entry.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(entry)
	before, err := os.Stat(entry)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func() error{
		func() error { return os.Remove(filepath.Join(dir, "package/__init__.py")) },
		func() error { return os.RemoveAll(filepath.Join(dir, "package")) },
		func() error { return overwrite(filepath.Join(dir, "package/sub/thing.py"), "x = 2") }, // of the same size
		func() error { return overwrite(filepath.Join(dir, "package/sub/thing.py"), "") },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := unpack(root, small(), "entry.py"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(texts(t, small()), texts(t, os.DirFS(dir))); diff != "" {
			t.Errorf("not healed (-want +got):\n%s", diff)
		}
	}
	if after, err := os.Stat(entry); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file in order was written again (%v)", err)
	}
}

func TestUnpackKeepsVersionsApart(t *testing.T) {
	root := t.TempDir()
	other := small()
	other["entry.py"] = &fstest.MapFile{Data: []byte("import other")}
	first, err := unpack(root, small(), "entry.py")
	if err != nil {
		t.Fatal(err)
	}
	second, err := unpack(root, other, "entry.py")
	if err != nil || first == second {
		t.Errorf("entries %s and %s, %v; want two", first, second, err)
	}
}

func TestUnpackAtTheSameTime(t *testing.T) {
	root := t.TempDir()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			entry, err := unpack(root, python.Worker(), python.Entry)
			if err != nil {
				t.Error(err)
				return
			}
			if diff := cmp.Diff(texts(t, python.Worker()), texts(t, os.DirFS(filepath.Dir(entry)))); diff != "" {
				t.Errorf("it returned too early (-want +got):\n%s", diff)
			}
		})
	}
	group.Wait()
}

func overwrite(path, text string) error {
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// texts reads a tree, without what others are about to rename into place.
func texts(t *testing.T, tree fs.FS) map[string]string {
	found := make(map[string]string)
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Base(path)[0] == '.' {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}
