package rundir

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// irregularError is something else in the place of a file.
type irregularError struct {
	path string
	kind string // what it is, with its article
}

func (e *irregularError) Error() string {
	return fmt.Sprintf("it is %s, not a file; see: ls -ld %s; then move it away", e.kind, quoted(e.path))
}

// OpenFile is os.OpenFile for the files of a run: it refuses what is no regular
// file, instead of waiting for it. To open a named pipe is to wait for its other
// end (fifo(7)), and what stands behind a symbolic link may never end.
func OpenFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	if err := refuseIrregular(path); err != nil {
		return nil, err
	}
	// It may be another one by now, so that this must not wait either.
	file, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, mode)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = regular(path, info)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// refuseIrregular looks before anything is opened: to open a device can do
// something by itself. What is not there yet is fine.
func refuseIrregular(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // the opening tells
	}
	return regular(path, info)
}

// regular is an *fs.PathError for what is no regular file.
func regular(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return &fs.PathError{Op: "open", Path: path, Err: &irregularError{path, kindOf(info.Mode())}}
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// quoted is a path as a shell takes it for one word.
func quoted(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@%", r)
	}
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
