package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// place is what there is of the way to a directory.
type place struct {
	path    string // the directory itself, or the nearest one above it that is there
	missing bool   // the directory itself is not there
	kind    error  // why it is none
	mode    fs.FileMode
	uid     int
	denied  error // why this user may not write there

	readOnly     bool
	free, inodes uint64 // bytes; inodes is the largest number where they are not counted
}

// lookAt changes nothing: writing is asked for with access(2).
func lookAt(path string) place {
	p := place{path: path}
	for {
		info, err := os.Stat(p.path)
		up := filepath.Dir(p.path)
		if errors.Is(err, fs.ErrNotExist) && up != p.path {
			p.path, p.missing = up, true
			continue
		}
		if err != nil {
			p.kind = err
			return p
		}
		if !info.IsDir() {
			p.kind = &fs.PathError{Op: "use", Path: p.path, Err: syscall.ENOTDIR}
			return p
		}
		p.mode, p.uid = info.Mode().Perm(), ownerOf(info)
		break
	}
	p.denied = unix.Access(p.path, unix.W_OK|unix.X_OK)
	var s unix.Statfs_t
	if err := unix.Statfs(p.path, &s); err != nil {
		p.kind = &fs.PathError{Op: "look at", Path: p.path, Err: err}
		return p
	}
	p.readOnly = isReadOnly(s)
	p.free, p.inodes = uint64(s.Bavail)*uint64(s.Bsize), uint64(s.Ffree)
	if s.Files == 0 {
		p.inodes = 1<<64 - 1
	}
	return p
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return os.Getuid()
}

// instant is a moment by both clocks.
type instant struct{ at time.Time }

func now() instant { return instant{time.Now()} }

// jump is by how much the wall clock was set since then: it and the monotonic
// clock should agree.
func (i instant) jump(later instant) time.Duration {
	wall := later.at.Round(0).Sub(i.at.Round(0))
	return wall - later.at.Sub(i.at)
}
