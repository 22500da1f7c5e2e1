package pool

import (
	"bytes"
	"regexp"
)

// maxWatched is how much of a line is compared, in bytes: a program that never
// ends its line costs no memory.
const maxWatched = 16 << 10

// watch is a Writer that looks for the first line that matches. It belongs to
// one goroutine; others may only wait for found.
type watch struct {
	pattern *regexp.Regexp
	found   chan struct{} // closed at the first match
	line    []byte        // as far as it has come
	over    bool
}

func newWatch(pattern *regexp.Regexp) *watch {
	return &watch{pattern: pattern, found: make(chan struct{})}
}

// Write never fails.
func (w *watch) Write(p []byte) (int, error) {
	for rest := p; !w.over && len(rest) > 0; {
		part, after, whole := bytes.Cut(rest, []byte{'\n'})
		w.line = append(w.line, part[:min(len(part), maxWatched-len(w.line))]...)
		if whole {
			w.look()
		}
		rest = after
	}
	return len(p), nil
}

// look compares the line, and begins the next one. At the end of the output it
// takes a line without an end for one.
func (w *watch) look() {
	if !w.over && w.pattern.Match(bytes.TrimSuffix(w.line, []byte{'\r'})) {
		w.over = true
		w.line = nil
		close(w.found)
	}
	w.line = w.line[:0]
}
