package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// tail reads one log through its rotations: the writer closes the file, renames
// it to NAME.1, over the one before, and begins a new one.
type tail struct {
	path string
	file *os.File // nil until there is one
	part []byte   // of a line that has not ended yet
}

// last reads everything and returns the last n lines, going back to the file
// before where this one has fewer. It reads a whole file, which is 10 MB at most,
// since what comes then has to follow without a gap or an overlap.
func (t *tail) last(n int) ([]rundir.LogLine, error) {
	lines, err := t.read()
	if err != nil {
		return nil, err
	}
	if len(lines) >= n {
		return lines[len(lines)-n:], nil
	}
	older, err := t.older(n - len(lines))
	return append(older, lines...), err
}

// older reads lines of the file before.
func (t *tail) older(n int) ([]rundir.LogLine, error) {
	if t.holds(t.path + ".1") {
		return nil, nil // rotated just now: it is the one that was read
	}
	lines, err := rundir.ReadLog(t.path+".1", n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return lines, err
}

// read returns the lines that have ended since it was called last.
func (t *tail) read() ([]rundir.LogLine, error) {
	var lines []rundir.LogLine
	for {
		if t.file == nil {
			file, err := rundir.OpenFile(t.path, os.O_RDONLY, 0)
			if errors.Is(err, fs.ErrNotExist) {
				return lines, nil
			}
			if err != nil {
				return lines, fmt.Errorf("cannot follow a log: %w", err)
			}
			t.file = file
		}
		// Asked before the reading: a file that has been renamed already grows
		// no more.
		current := t.holds(t.path)
		more, err := io.ReadAll(t.file)
		if err != nil {
			return lines, fmt.Errorf("cannot follow a log: %w", err)
		}
		lines = append(lines, t.split(more)...)
		if current {
			return lines, nil
		}
		lines = append(lines, t.unfinished()...)
		t.next()
	}
}

// next goes on to the file that followed. When that has been renamed as well in
// the meantime, it is the one before the current one.
func (t *tail) next() {
	before := t.path + ".1"
	skipped := !t.holds(before)
	t.close()
	if skipped {
		t.file, _ = rundir.OpenFile(before, os.O_RDONLY, 0) // gone again: the current one is next
	}
}

// holds says whether the open file is the one with this path.
func (t *tail) holds(path string) bool {
	if t.file == nil {
		return false
	}
	have, err := t.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(have, named)
}

func (t *tail) split(more []byte) []rundir.LogLine {
	t.part = append(t.part, more...)
	var lines []rundir.LogLine
	for {
		end := bytes.IndexByte(t.part, '\n')
		if end < 0 {
			return lines
		}
		line, _ := rundir.ParseLogLine(string(t.part[:end]))
		lines = append(lines, line)
		t.part = t.part[end+1:]
	}
}

// unfinished is the line that was begun, if any.
func (t *tail) unfinished() []rundir.LogLine {
	if len(t.part) == 0 {
		return nil
	}
	line, _ := rundir.ParseLogLine(string(t.part))
	t.part = nil
	return []rundir.LogLine{line}
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}
