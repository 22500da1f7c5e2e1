package guard

import (
	"os"
	"path/filepath"
	"testing"
)

// The guard must be the program that runs now, and not whatever lies at its path
// by the time that another guard is needed.
func TestThisProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer")
	if err := os.WriteFile(newer, []byte("another version"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ path, want string }{
		"it is there": {self, self},
		"by a link":   {link, link},
		"removed":     {filepath.Join(dir, "gone"), "/proc/self/exe"},
		"replaced":    {newer, "/proc/self/exe"},
	} {
		if got := thisProgram(tt.path); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
