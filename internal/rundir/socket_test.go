package rundir

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// shortDir is a directory with a short name: t.TempDir holds the test's name,
// and here every byte counts.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSocketPath(t *testing.T) {
	uid := os.Getuid()
	rt, tmp := shortDir(t), shortDir(t)
	private := filepath.Join(tmp, "snakepit-"+strconv.Itoa(uid))
	deep := filepath.Join(rt, strings.Repeat("d", MaxSocketPath))
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a", 64)
	// Long enough that only the hash fits, and no runtime directory.
	tight := filepath.Join(tmp, strings.Repeat("t", MaxSocketPath-len(private)-len("/")-len("/0123456789abcdef.sock")))
	if err := os.Mkdir(tight, 0o700); err != nil {
		t.Fatal(err)
	}
	// Directories in which the path has as many bytes as it may, and one more.
	fill := MaxSocketPath - len(rt) - len("//snakepit/demo.sock")
	fits, over := filepath.Join(rt, strings.Repeat("f", fill)), filepath.Join(rt, strings.Repeat("o", fill+1))
	for _, dir := range []string{fits, over} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, runtime, temp, id, want string }{
		{"runtime directory", rt, tmp, "demo", filepath.Join(rt, "snakepit", "demo.sock")},
		{"none given", "", tmp, "demo", filepath.Join(private, "demo.sock")},
		{"missing", filepath.Join(rt, "missing"), tmp, "demo", filepath.Join(private, "demo.sock")},
		{"relative", ".", tmp, "demo", filepath.Join(private, "demo.sock")},
		{"longest", fits, tmp, "demo", filepath.Join(fits, "snakepit", "demo.sock")},
		{"one byte too long", over, tmp, "demo", filepath.Join(private, "demo.sock")},
		{"too long", deep, tmp, "demo", filepath.Join(private, "demo.sock")},
		{"too long for both", deep, tight, long, filepath.Join(tight, "snakepit-"+strconv.Itoa(uid), shortName(long)+".sock")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := SocketPath(tt.runtime, tt.temp, uid, tt.id)
			if err != nil || got != tt.want {
				t.Fatalf("SocketPath = %q, %v\nwant %q", got, err, tt.want)
			}
			info, err := os.Lstat(filepath.Dir(got))
			if err != nil || info.Mode() != fs.ModeDir|0o700 {
				t.Errorf("its directory: %v, %v", info.Mode(), err)
			}
			l, err := net.Listen("unix", got)
			if err != nil {
				t.Fatalf("the kernel does not take it: %v", err)
			}
			l.Close()
		})
	}
	if path, err := LookSocketPath("", filepath.Join(tmp, "none"), uid, "demo"); err == nil {
		t.Errorf("in a directory that is not there, and that nobody makes: %q", path)
	}
	if again, err := SocketPath(rt, tmp, uid, "demo"); err != nil {
		t.Errorf("the second time: %q, %v", again, err)
	}
	if got, err := SocketPath(deep, deep, uid, "demo"); err == nil {
		t.Errorf("nothing fits, and yet: %q", got)
	}
}

func TestSocketPathRefuses(t *testing.T) {
	uid := os.Getuid()
	for name, tt := range map[string]struct {
		plant func(dir string) error
		uid   int
		want  string
	}{
		"symbolic link": {func(dir string) error {
			target := dir + "-target"
			if err := os.Mkdir(target, 0o700); err != nil {
				return err
			}
			return os.Symlink(target, dir)
		}, uid, "symbolic link"},
		"dangling link":  {func(dir string) error { return os.Symlink(dir+"-missing", dir) }, uid, "symbolic link"},
		"file":           {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, uid, "not a directory"},
		"open to group":  {func(dir string) error { return mkdirMode(dir, 0o770) }, uid, "its mode is 0770, not 0700"},
		"open to others": {func(dir string) error { return mkdirMode(dir, 0o701) }, uid, "its mode is 0701, not 0700"},
		"someone else's": {func(dir string) error { return mkdirMode(dir, 0o700) }, uid + 1, "does not belong to user id"},
		"no place":       {func(dir string) error { return os.Remove(filepath.Dir(dir)) }, uid, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			tmp := filepath.Join(shortDir(t), "t")
			if err := os.Mkdir(tmp, 0o700); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(tmp, "snakepit-"+strconv.Itoa(tt.uid))
			if err := tt.plant(dir); err != nil {
				t.Fatal(err)
			}
			got, err := SocketPath("", tmp, tt.uid, "demo")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("SocketPath = %q, %v, want an error about %q", got, err, tt.want)
			}
		})
	}
}

// mkdirMode is os.Mkdir without the umask.
func mkdirMode(dir string, mode fs.FileMode) error {
	if err := os.Mkdir(dir, mode); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}
