package pyenv

import (
	"bytes"
	"strings"
)

const (
	tailBytes = 64 << 10
	tailLines = 6
	tailWidth = 400 // of a line, in bytes; pip's warnings bring the cause at their end
)

// tail keeps the end of what is written to it: an interpreter may print
// without limit.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }

// lastLines returns the last lines of output that say something. Of pip's
// warnings for each attempt in a row, all but the last say nothing new.
func lastLines(output string) []string {
	var lines []string
	for line := range strings.Lines(output) {
		if line = strings.TrimRight(line, " \t\r\n"); strings.TrimSpace(line) == "" {
			continue
		}
		if len(line) > tailWidth {
			line = strings.ToValidUTF8(line[:tailWidth], "") + "…"
		}
		if last := len(lines) - 1; last >= 0 && retries(line) && retries(lines[last]) {
			lines = lines[:last]
		}
		lines = append(lines, line)
	}
	return lines[max(0, len(lines)-tailLines):]
}

func retries(line string) bool { return strings.HasPrefix(line, "WARNING: Retrying") }

func indented(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString("\n    " + line)
	}
	return b.String()
}

// watch is a tail that also reports the lines by which pip says what takes it
// so long.
type watch struct {
	tail
	line     []byte
	progress func(string)
}

func (w *watch) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n':
			w.report(string(bytes.TrimSpace(w.line)))
			w.line = w.line[:0]
		case len(w.line) < tailWidth:
			w.line = append(w.line, b)
		}
	}
	return w.tail.Write(p)
}

func (w *watch) report(line string) {
	wheel, building := strings.CutPrefix(line, "Building wheel for ")
	file, downloading := strings.CutPrefix(line, "Downloading ")
	switch {
	case building && strings.HasSuffix(line, ": started"):
		name, _, _ := strings.Cut(wheel, " ")
		w.progress("building " + name + " from source, which takes minutes")
	case downloading && !strings.Contains(file, ".metadata "):
		w.progress("downloading " + file)
	case retries(line):
		w.progress("the package index does not answer; trying again")
	}
}
