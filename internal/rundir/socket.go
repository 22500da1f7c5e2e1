package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// SocketPath returns where the control socket of the run goes, and makes its
// directory: "snakepit" in the user's runtime directory, or, when there is none
// (runtimeDir is empty, not absolute or does not exist), "snakepit-UID" in tempDir. The
// directory must belong to uid alone, or it is an error: in the temp directory
// anybody can make one first.
//
// The path of a socket is limited (see MaxSocketPath). A path that is too long
// is tried in the temp directory, then with a hash in place of the run id.
func SocketPath(runtimeDir, tempDir string, uid int, runID string) (string, error) {
	return placeSocket(runtimeDir, tempDir, uid, runID, func(dir string) error { return privateDir(dir, uid) })
}

// LookSocketPath is SocketPath, and makes nothing: a directory that is not there yet
// is one that could be made.
func LookSocketPath(runtimeDir, tempDir string, uid int, runID string) (string, error) {
	return placeSocket(runtimeDir, tempDir, uid, runID, func(dir string) error {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			_, err := os.Stat(filepath.Dir(dir)) // the directory would be made, not what it is in
			return err
		}
		return checkPrivate(dir, uid)
	})
}

func placeSocket(runtimeDir, tempDir string, uid int, runID string, prepare func(dir string) error) (string, error) {
	dirs := []string{filepath.Join(tempDir, "snakepit-"+strconv.Itoa(uid))}
	if isDir(runtimeDir) {
		dirs = append([]string{filepath.Join(runtimeDir, "snakepit")}, dirs...)
	}
	for _, name := range []string{runID, shortName(runID)} {
		for _, dir := range dirs {
			path := filepath.Join(dir, name+".sock")
			if len(path) > MaxSocketPath {
				continue
			}
			if err := prepare(dir); err != nil {
				return "", fmt.Errorf("cannot use %s for the control socket: %w", dir, err)
			}
			return path, nil
		}
	}
	return "", fmt.Errorf("cannot place the control socket: a path in %s is longer than the %d bytes that a socket's may have", tempDir, MaxSocketPath)
}

// isDir reports whether the path can be used, or should fail when it is used.
func isDir(path string) bool {
	if !filepath.IsAbs(path) { // the XDG base directory specification says to ignore these
		return false
	}
	info, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && (err != nil || info.IsDir())
}

// shortName returns 16 hexadecimal digits: 64 bits do not meet by accident.
func shortName(runID string) string {
	sum := sha256.Sum256([]byte(runID))
	return hex.EncodeToString(sum[:8])
}

// privateDir makes the directory unless it is there, and then checks what is
// there, whoever made it.
func privateDir(dir string, uid int) error {
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return pathReason(err)
	}
	return checkPrivate(dir, uid)
}

func checkPrivate(dir string, uid int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return pathReason(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link")
	case !info.IsDir():
		return errors.New("it is not a directory")
	case !ok || int(stat.Uid) != uid:
		return fmt.Errorf("it does not belong to user id %d", uid)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others may use it too: its mode is %#o, not 0700", info.Mode().Perm())
	}
	return nil
}

// pathReason leaves out the path, which the caller names already.
func pathReason(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	var linkErr *os.LinkError
	if errors.As(err, &linkErr) {
		return linkErr.Err
	}
	return err
}
