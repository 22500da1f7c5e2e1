package cmd

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestHintsNameWhatIsThere: a file that could not be written is nothing to look
// at, but its directory is.
func TestHintsNameWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "workers.json")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	failing := func(name string, reason error) error {
		return fmt.Errorf("cannot write the record: %w", &fs.PathError{Op: "write", Path: filepath.Join(dir, name), Err: reason})
	}
	full := fmt.Sprintf("make room: df -h %[1]s; df -i %[1]s; ", dir)
	for _, c := range []struct {
		err  error
		want string
	}{
		{failing("run.json", syscall.ENOSPC), full},
		{failing("gone/run.json", syscall.EDQUOT), full},
		{failing("run.json", syscall.EIO), "look at it: ls -ld " + dir + "; "},
		{failing("workers.json", syscall.EIO), "look at it: ls -ld " + there + "; "},
	} {
		if code, hint := judge(c.err); code != exitFailed || !strings.HasPrefix(hint, c.want) {
			t.Errorf("%v: exit %d, %s; want %s", c.err, code, hint, c.want)
		}
	}
}
