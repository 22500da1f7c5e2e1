package rundir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// ReadLog returns the last n lines of the log at path, oldest first, going on
// in the file before it (NAME.1) where the current one has fewer. It reads from
// the end, so a few lines of a large log cost little. A line that no LogWriter
// wrote is there as well, without a time.
func ReadLog(path string, n int) ([]LogLine, error) {
	current, before, err := openLogs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a worker's log: %w", err)
	}
	var lines []LogLine // newest first
	for _, file := range []*os.File{current, before} {
		if file == nil {
			continue
		}
		if err == nil {
			lines, err = readBack(file, n, lines)
		}
		file.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read a worker's log: %w", err)
	}
	slices.Reverse(lines)
	return lines, nil
}

// openLogs opens both files; either may be missing. When the log is rotated
// between the two, both are the same file and it tries again; after that, it is
// somebody's hard link, and the file counts once.
func openLogs(path string) (current, before *os.File, err error) {
	for try := 0; ; try++ {
		current, err = openLog(path)
		if err != nil {
			return nil, nil, err
		}
		before, err = openLog(path + ".1")
		if err != nil {
			closeLog(current)
			return nil, nil, err
		}
		if current == nil && before == nil {
			return nil, nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		if current == nil || before == nil || !sameFile(current, before) {
			return current, before, nil
		}
		closeLog(before)
		if try == 10 {
			return current, nil, nil
		}
		closeLog(current)
	}
}

func openLog(path string) (*os.File, error) {
	file, err := OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return file, err
}

func closeLog(file *os.File) {
	if file != nil {
		file.Close()
	}
}

func sameFile(a, b *os.File) bool {
	ai, errA := a.Stat()
	bi, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(ai, bi)
}

// readBack appends the file's lines to those of newer files, newest first, until
// there are n.
func readBack(file io.ReadSeeker, n int, lines []LogLine) ([]LogLine, error) {
	const chunk = 64 << 10
	pos, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	var rest []byte // the beginning of the line that was cut by a chunk's start
	atEnd := true
	for pos > 0 && len(lines) < n {
		size := min(pos, chunk)
		pos -= size
		buf := make([]byte, size, int(size)+len(rest))
		if _, err := file.Seek(pos, io.SeekStart); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(file, buf); err != nil {
			return nil, err
		}
		if atEnd {
			buf, atEnd = bytes.TrimSuffix(buf, []byte("\n")), false
		}
		rest = append(buf, rest...)
		for len(lines) < n {
			i := bytes.LastIndexByte(rest, '\n')
			if i < 0 {
				break
			}
			lines = appendLine(lines, rest[i+1:])
			rest = rest[:i]
		}
		if len(rest) > 4*maxLineBytes && len(lines) < n { // no LogWriter wrote this, and it may be a gigabyte
			lines, rest = appendLine(lines, rest), nil
		}
	}
	if pos == 0 && len(lines) < n && !atEnd {
		lines = appendLine(lines, rest)
	}
	return lines, nil
}

func appendLine(lines []LogLine, raw []byte) []LogLine {
	line, _ := ParseLogLine(string(raw))
	return append(lines, line)
}
