package cmd

import (
	"path/filepath"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// logFollower reads what is new in the logs of a run.
type logFollower struct {
	logFolder
	tails map[string]*tail
}

// begin reads the last n lines of each log; what comes later is new.
func (f *logFollower) begin(n int) ([]logLine, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	var all []logLine
	for _, name := range names {
		if !f.wants(name) {
			continue
		}
		lines, err := f.tail(name).last(n)
		if err != nil {
			return nil, err
		}
		all = append(all, named(name, lines)...)
	}
	return inTime(all), nil
}

// changed reads the log at a path, if it is one that is wanted.
func (f *logFollower) changed(path string) ([]logLine, error) {
	name, ok := strings.CutSuffix(filepath.Base(path), ".log")
	if !ok || !f.wants(name) {
		return nil, nil
	}
	lines, err := f.tail(name).read()
	return named(name, lines), err
}

// all reads every log, also those that have appeared unseen.
func (f *logFollower) all() ([]logLine, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	var all []logLine
	for _, name := range names {
		lines, err := f.changed(rundir.LogPath(f.dir, name))
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return inTime(all), nil
}

// finish reads the rest, with lines that nobody will end any more.
func (f *logFollower) finish() ([]logLine, error) {
	lines, err := f.all()
	for name, t := range f.tails {
		lines = append(lines, named(name, t.unfinished())...)
	}
	return lines, err
}

func (f *logFollower) tail(name string) *tail {
	if f.tails[name] == nil {
		f.tails[name] = &tail{path: rundir.LogPath(f.dir, name)}
	}
	return f.tails[name]
}

func (f *logFollower) close() {
	for _, t := range f.tails {
		t.close()
	}
}
