package cmd

import (
	"context"
	"fmt"

	"github.com/fsnotify/fsnotify"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// follower reads what is new in the files of a run, in lines of some kind.
type follower[L any] interface {
	begin(n int) ([]L, error)         // the last n of each file; what comes later is new
	changed(path string) ([]L, error) // in the file at a path, if it is one that is wanted
	all() ([]L, error)                // in every file, also those that have appeared unseen
	finish() ([]L, error)             // the rest, when nobody writes any more
}

// followRun prints the last lines and then what comes in the files of dir, until
// the run has ended, or Ctrl-C.
func followRun[L any](ctx context.Context, env *Env, found rundir.Found, dir string, f follower[L], n int, show func([]L) error) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot follow run %q: %w", found.RunID, err)
	}
	defer watcher.Close()
	// Watched before they are first read, so that nothing is missed in between.
	if err := watcher.Add(dir); err != nil {
		return fmt.Errorf("cannot follow run %q: %w", found.RunID, err)
	}
	ended := make(chan struct{})
	go func() {
		if waitEnded(ctx, found) == nil {
			close(ended)
		}
	}()
	left := readerLeft(env.Out)
	lines, err := f.begin(n)
	for {
		if err != nil {
			return err
		}
		if err := show(lines); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-left:
			return nil
		case <-ended:
			lines, err := f.finish()
			if err != nil {
				return err
			}
			return show(lines)
		case event := <-watcher.Events:
			lines, err = f.changed(event.Name)
		case <-watcher.Errors: // events were lost: there may be news in any of them
			lines, err = f.all()
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
