package rundir

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// odd makes what is no file of a run, each in the place of one.
func odd() map[string]func(path string) error {
	return map[string]func(path string) error{
		"a named pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory":  func(path string) error { return os.Mkdir(path, 0o700) },
		"a device":     func(path string) error { return os.Symlink("/dev/zero", path) },
		"larger than 16 MiB": func(path string) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 1<<30)
		},
	}
}

// within fails the test when doing it waits for what never comes.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal(what + " hangs")
	}
}

// TestOddFiles: whatever lies in the place of a file is a problem of its run, and
// neither hangs nor hides the others.
func TestOddFiles(t *testing.T) {
	for kind, lay := range odd() {
		for _, name := range []string{"lock", "run.json", "workers.json"} {
			if name == "lock" && strings.HasPrefix(kind, "larger") {
				continue // nobody reads it
			}
			t.Run(kind+" as "+name, func(t *testing.T) {
				root := t.TempDir()
				endedRun(t, root, "other", 1)
				endedRun(t, root, "x", 1)
				path := filepath.Join(root, "x", name)
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := lay(path); err != nil {
					t.Fatal(err)
				}
				within(t, "looking", func() { mustTellOf(t, root, name, kind) })
				within(t, "taking it", func() { mustTake(t, root, name, kind) })
			})
		}
	}
}

func mustTellOf(t *testing.T, root, name, kind string) {
	runs, problems, err := List(root)
	if err != nil || len(runs) != 2 || runs[0].RunID != "other" || len(runs[0].Problems) > 0 {
		t.Errorf("%+v, %v", runs, err)
	}
	_, broken := ReadRegistry(filepath.Join(root, "x"))
	_, others := Others(runs, "other")
	if name == "workers.json" {
		if others == nil || !strings.Contains(others.Error(), kind) {
			t.Errorf("nobody tells that the registry names nobody: %v", others)
		}
	} else if broken != nil {
		t.Error(broken)
	} else {
		broken = errors.New("nothing")
		if len(problems) == 1 {
			broken = errors.New(problems[0].String())
		}
	}
	if broken == nil || !strings.Contains(broken.Error(), kind) || strings.Count(broken.Error(), "x/"+name) > 2 {
		t.Errorf("it says %v", broken)
	}
	if see := "see: ls -ld " + filepath.Join(root, "x", name); !strings.HasPrefix(kind, "larger") && !strings.Contains(broken.Error(), see) {
		t.Errorf("it does not say what to type: %v", broken)
	}
}

// mustTake: what is no lock locks nobody out, so that it is not taken; any other
// odd thing is in nobody's way.
func mustTake(t *testing.T, root, name, kind string) {
	run, err := Adopt(t.Context(), root, "x")
	if name == "lock" {
		var path *fs.PathError
		if err == nil || !strings.Contains(err.Error(), kind) || !errors.As(err, &path) {
			t.Errorf("the lock is %s, and: %v", kind, err)
		}
		if _, err := Create(t.Context(), root, "x"); err == nil || !strings.Contains(err.Error(), kind) {
			t.Errorf("the lock is %s, and: %v", kind, err)
		}
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	if err := errors.Join(run.Settle(End{At: time.Now()}), run.Close()); err != nil {
		t.Error(err)
	}
	found, err := Open(root, "x")
	if err != nil || !found.Settled() || len(found.Problems) > 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	root := t.TempDir()
	endedRun(t, root, "x", 1)
	for _, name := range []string{"lock", "run.json"} {
		if err := os.Chmod(filepath.Join(root, "x", name), 0); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Open(root, "x")
	if err != nil || len(found.Problems) != 2 || !found.LockUnknown {
		t.Errorf("%+v, %v", found, err)
	}
	for _, p := range found.Problems {
		if p.Reason != "permission denied" {
			t.Error(p)
		}
	}
}

// TestOddLogs: a log is read in pieces, and never waited for.
func TestOddLogs(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	within(t, "a log that is a pipe", func() {
		if _, err := ReadLog(pipe, 1); err == nil || !strings.Contains(err.Error(), "a named pipe") {
			t.Error(err)
		}
		if _, err := OpenLog(pipe, time.Now); err == nil || !strings.Contains(err.Error(), "a named pipe") {
			t.Error(err)
		}
	})

	long := filepath.Join(dir, "long.log")
	text := bytes.Repeat([]byte("x"), 3<<20)
	if err := os.WriteFile(long, append([]byte("first\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	lines, err := ReadLog(long, 2)
	if err != nil || len(lines) != 2 || len(lines[0].Text)+len(lines[1].Text) > 1<<20 {
		t.Errorf("%d lines, %v: one line fills the memory", len(lines), err)
	}
	lines, err = ReadLog(long, 1000)
	total := 0
	for _, line := range lines {
		total += len(line.Text)
	}
	if err != nil || total != len("first")+len(text) || lines[0].Text != "first" {
		t.Errorf("%d lines of %d bytes, %v", len(lines), total, err)
	}
}

func TestQuoted(t *testing.T) {
	for path, want := range map[string]string{"/a/b-1.json": "/a/b-1.json", "/a b": "'/a b'", "/it's": `'/it'\''s'`} {
		if got := quoted(path); got != want {
			t.Errorf("%q is %s, want %s", path, got, want)
		}
	}
}
