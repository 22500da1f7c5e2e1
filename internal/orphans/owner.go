package orphans

import (
	"os"
	"syscall"
)

// ownerOf is the user id that a run's directory belongs to.
func ownerOf(dir string) int {
	info, err := os.Stat(dir)
	if err != nil {
		return os.Getuid()
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return os.Getuid()
}
