package cmd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// runFollow prints the last lines and then what comes, until the run has ended,
// or Ctrl-C.
func (o *logsOptions) runFollow(ctx context.Context, found rundir.Found, folder logFolder, printer *logPrinter) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot follow the logs: %w", err)
	}
	defer watcher.Close()
	// Watched before they are first read, so that nothing is missed in between.
	if err := watcher.Add(filepath.Dir(rundir.LogPath(found.Dir, "any"))); err != nil {
		return fmt.Errorf("cannot follow the logs: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		if waitEnded(ctx, found) == nil {
			close(ended)
		}
	}()
	left := readerLeft(o.env.Out)
	follower := &logFollower{logFolder: folder, tails: map[string]*tail{}}
	defer follower.close()
	lines, err := follower.begin(int(o.lines))
	for {
		if err != nil {
			return err
		}
		if err := printer.print(lines); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-left:
			return nil
		case <-ended:
			lines, err := follower.finish()
			if err != nil {
				return err
			}
			return printer.print(lines)
		case event := <-watcher.Events:
			lines, err = follower.changed(event.Name)
		case <-watcher.Errors: // events were lost: there may be news in any of them
			lines, err = follower.all()
		}
	}
}

// waitEnded waits for the end of the supervisor's process, which is an event; the
// lock, which has to be polled, is free at once when that has ended.
func waitEnded(ctx context.Context, found rundir.Found) error {
	if found.Record != nil {
		s := found.Record.Supervisor
		if handle, err := procscan.Open(procscan.ID{PID: s.PID, Start: s.Start, Boot: s.Boot}); err == nil {
			defer handle.Close()
			if err := handle.Wait(ctx); err != nil {
				return err
			}
		}
	}
	return rundir.WaitEnded(ctx, found.Dir)
}

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
