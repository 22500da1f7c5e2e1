package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// lockPatience is how long Create and Adopt try to get a lock that is busy for
// another reason than a living supervisor: readers and cleaners hold it for
// an instant each.
const lockPatience = 500 * time.Millisecond

// Run is the directory of a run whose lock we hold.
type Run struct {
	id, dir  string
	lock     *flock.Flock
	leftover []Entry
	previous *Record
	broken   []Problem
}

// InUseError says that another supervisor holds the run, or who cleans up after
// it.
type InUseError struct {
	RunID      string
	Supervisor Process // zero when it has not written its record yet
	Cleanup    bool    // the supervisor has ended; its guard has the lock, or another cleanup
}

func (e *InUseError) Error() string {
	if e.Cleanup {
		return fmt.Sprintf("cannot use run id %s: its supervisor, PID %d, has ended, and a cleanup holds the lock", e.RunID, e.Supervisor.PID)
	}
	if e.Supervisor.PID == 0 {
		return fmt.Sprintf("cannot use run id %s: another supervisor is using it", e.RunID)
	}
	return fmt.Sprintf("cannot use run id %s: the supervisor with PID %d is using it", e.RunID, e.Supervisor.PID)
}

// Create makes the directory of the run and takes its lock. What an earlier run
// with the same id left there is removed once the lock is held, except that its
// registry and its record are kept in memory, or on disk under another name
// where they are broken: see Leftover, Previous and Broken. The error is an
// *InUseError when a living supervisor has the run.
func Create(ctx context.Context, root, runID string) (*Run, error) {
	if !isName(runID) {
		return nil, createError(runID, errors.New("a directory cannot have this name"))
	}
	r, err := acquire(ctx, root, runID, true)
	if err != nil {
		return nil, createError(runID, err)
	}
	if err := errors.Join(r.keepPrevious(), r.prepare()); err != nil {
		r.lock.Close()
		return nil, createError(runID, err)
	}
	return r, nil
}

func createError(runID string, err error) error {
	var inUse *InUseError
	if errors.As(err, &inUse) {
		return err
	}
	return fmt.Errorf("cannot create the directory of run %s: %w", runID, err)
}

// Adopt takes the lock of a run whose supervisor is gone and changes nothing
// else: it is for those who clean up after one and write down how it ended. The
// error is an *InUseError when a supervisor lives, fs.ErrNotExist when there is
// no such run. A run without a lock file gets one, so the caller must know by
// other means that its supervisor is gone.
func Adopt(ctx context.Context, root, runID string) (*Run, error) {
	if !isName(runID) {
		return nil, fmt.Errorf("cannot adopt run %q: %w", runID, fs.ErrNotExist)
	}
	r, err := acquire(ctx, root, runID, false)
	if err != nil {
		var inUse *InUseError
		if errors.As(err, &inUse) {
			return nil, err
		}
		return nil, fmt.Errorf("cannot adopt run %s: %w", runID, err)
	}
	return r, nil
}

func acquire(ctx context.Context, root, runID string, create bool) (*Run, error) {
	dir := filepath.Join(root, runID)
	deadline := time.NewTimer(lockPatience)
	defer deadline.Stop()
	for {
		if err := enter(dir, create); err != nil {
			return nil, err
		}
		lock, ok, err := takeLock(dir)
		if err != nil {
			return nil, err
		}
		rec, _ := readRecord(dir)
		if ok && !supervised(rec) {
			return &Run{id: runID, dir: dir, lock: lock}, nil
		}
		if ok {
			_ = lock.Close() // the supervisor is about to be gone, or somebody removed its lock
		}
		if hasSupervisor(dir, rec) {
			return nil, inUse(runID, rec)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			return nil, inUse(runID, rec)
		case <-time.After(lockPoll):
		}
	}
}

// supervised says that the recorded supervisor lives, whatever became of the
// lock's file: nobody may take its run.
func supervised(rec Record) bool {
	if rec.State == StateEnded || rec.Supervisor.PID <= 0 {
		return false
	}
	alive, err := rec.Supervisor.ID().Alive()
	return alive && err == nil
}

// inUse says who has the run, as far as its record tells.
func inUse(runID string, rec Record) *InUseError {
	alive, err := rec.Supervisor.ID().Alive()
	return &InUseError{RunID: runID, Supervisor: rec.Supervisor, Cleanup: rec.Supervisor.PID > 0 && !alive && err == nil}
}

// enter makes sure that the directory exists.
func enter(dir string, create bool) error {
	if create {
		return os.MkdirAll(dir, dirMode)
	}
	_, err := os.Stat(dir)
	return err
}

// hasSupervisor reports whether waiting for the busy lock is in vain: it is held
// exclusively, so not by a reader, and the recorded supervisor may live. A cleaner
// will be gone in an instant.
func hasSupervisor(dir string, rec Record) bool {
	if rec.Supervisor.PID <= 0 || rec.State == StateEnded {
		return false
	}
	live, err := held(dir)
	if !live || err != nil {
		return false
	}
	alive, err := rec.Supervisor.ID().Alive()
	return alive || err != nil
}

// prepare empties the directory, except for the lock that we hold and for what
// was set aside, and gives everything its mode.
func (r *Run) prepare() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == filepath.Base(r.lock.Path()) || isAside(e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(r.dir, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Chmod(r.dir, dirMode); err != nil {
		return err
	}
	if err := os.Chmod(r.lock.Path(), fileMode); err != nil {
		return err
	}
	return os.Mkdir(filepath.Join(r.dir, "logs"), dirMode)
}

// isName reports whether the run id names a directory directly below the root,
// and not one of those that are being removed.
func isName(runID string) bool {
	return runID != "" && runID == filepath.Base(runID) && !strings.HasPrefix(runID, ".") && !strings.ContainsRune(runID, 0)
}

// Path returns the run's directory.
func (r *Run) Path() string { return r.dir }

// LogPath returns where the output of the worker goes.
func (r *Run) LogPath(worker string) string { return LogPath(r.dir, worker) }

// LogPath returns where the output of the worker of the run in dir goes.
func LogPath(dir, worker string) string { return filepath.Join(dir, "logs", worker+".log") }

// EventsPath returns where the run's events go.
func (r *Run) EventsPath() string { return EventsPath(r.dir) }

// EventsPath returns where the events of the run in dir go.
func EventsPath(dir string) string { return filepath.Join(dir, "events.jsonl") }

// Close releases the lock. The files stay.
func (r *Run) Close() error {
	if err := r.lock.Close(); err != nil {
		return fmt.Errorf("cannot release run %s: %w", r.id, err)
	}
	return nil
}
