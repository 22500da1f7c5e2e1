package rundir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	maxLogBytes  = 10 << 20 // of one file; there are at most two
	maxLineBytes = 64 << 10 // of text in one line
	tailLines    = 50
)

// LogWriter writes a worker's output to its log, line by line with the time,
// and keeps the last lines in memory. When the file has 10 MiB it is renamed to
// NAME.1, over the one before it.
//
// A write never fails: the worker's pipe must be emptied even when the disk is
// full, or the worker would hang. Close reports the first failure.
type LogWriter struct {
	path     string
	now      func() time.Time
	maxBytes int64

	// mu guards everything below. The file is written under it, which never
	// waits for another goroutine.
	mu      sync.Mutex
	file    *os.File // nil when it could not be opened again
	size    int64
	partial []byte // the line so far
	out     []byte // finished lines, not yet written
	tail    []LogLine
	err     error // the first failure
	closed  bool
}

// OpenLog opens the log for appending. The clock is the time of the lines.
func OpenLog(path string, now func() time.Time) (*LogWriter, error) {
	w := &LogWriter{path: path, now: now, maxBytes: maxLogBytes}
	if err := w.open(); err != nil {
		return nil, fmt.Errorf("cannot open a worker's log: %w", err)
	}
	return w, nil
}

func (w *LogWriter) open() error {
	file, err := OpenFile(w.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, fileMode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	w.file, w.size = file, info.Size()
	return nil
}

// Write takes any piece of output; lines end at "\n". A line that is longer than
// 64 KiB is continued on the next. The error is always nil, except after Close.
func (w *LogWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, os.ErrClosed
	}
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		room := maxLineBytes - len(w.partial)
		switch {
		case end >= 0 && end <= room:
			w.partial = append(w.partial, p[:end]...)
			p = p[end+1:]
			w.endLine()
		case len(p) > room:
			w.partial = append(w.partial, p[:room]...)
			p = p[room:]
			w.endLine()
		default:
			w.partial = append(w.partial, p...)
			p = nil
		}
	}
	w.flush()
	return n, nil
}

// WriteLine writes one whole line, with no effect on a line that Write has
// begun. Line breaks in it become spaces.
func (w *LogWriter) WriteLine(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if len(text) > maxLineBytes {
		text = text[:maxLineBytes]
	}
	w.add(strings.ReplaceAll(text, "\n", " "))
	w.flush()
}

// EndLine ends a line that Write has begun. Call it when the process that wrote
// is gone, or the next one would continue its line.
func (w *LogWriter) EndLine() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 && !w.closed {
		w.endLine()
		w.flush()
	}
}

// Tail returns the last lines, at most 50, oldest first. It works after Close.
func (w *LogWriter) Tail() []LogLine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]LogLine(nil), w.tail...)
}

// Close ends an unfinished line, closes the file and returns the first failure
// there was.
func (w *LogWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	if len(w.partial) > 0 {
		w.endLine()
	}
	w.flush()
	w.closed = true
	if w.file != nil {
		w.failed(w.file.Close())
	}
	if w.err != nil {
		return fmt.Errorf("cannot write a worker's log: %w", w.err)
	}
	return nil
}

func (w *LogWriter) endLine() {
	w.add(string(bytes.TrimSuffix(w.partial, []byte("\r"))))
	w.partial = w.partial[:0]
}

func (w *LogWriter) add(text string) {
	line := LogLine{w.now().UTC(), text}
	if len(w.tail) == tailLines {
		copy(w.tail, w.tail[1:])
		w.tail = w.tail[:tailLines-1]
	}
	w.tail = append(w.tail, line)

	s := line.String() + "\n"
	if size := w.size + int64(len(w.out)); size > 0 && size+int64(len(s)) > w.maxBytes {
		w.flush()
		w.rotate()
	}
	w.out = append(w.out, s...)
}

// flush writes the finished lines. What cannot be written is dropped.
func (w *LogWriter) flush() {
	if len(w.out) == 0 {
		return
	}
	if w.file == nil {
		w.failed(w.open())
	}
	if w.file != nil {
		n, err := w.file.Write(w.out)
		w.size += int64(n)
		w.failed(err)
	}
	w.out = w.out[:0]
}

func (w *LogWriter) rotate() {
	if w.file != nil {
		w.failed(w.file.Close())
		w.file = nil
	}
	w.failed(os.Rename(w.path, w.path+".1"))
	w.failed(w.open())
}

func (w *LogWriter) failed(err error) {
	if w.err == nil && !errors.Is(err, os.ErrClosed) {
		w.err = err
	}
}
