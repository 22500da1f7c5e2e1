package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// lockPoll is the pause between two tries of a lock that another process holds.
// flock(2) has no wait that can be cancelled: a blocked call would hold a thread
// until the holder ends, and nothing announces a lock that became free.
const lockPoll = 5 * time.Millisecond

func lockPath(dir string) string { return filepath.Join(dir, "lock") }

// reader returns a lock for looking only: it does not create the file, and does
// not wait for what is none (see OpenFile).
func reader(dir string) *flock.Flock {
	return flock.New(lockPath(dir), flock.SetFlag(os.O_RDONLY|syscall.O_NONBLOCK))
}

// held reports whether someone has the lock of the run in dir exclusively. It
// takes a shared lock for an instant: readers do not see each other, and a
// supervisor that meets one tries again.
func held(dir string) (bool, error) {
	if err := refuseIrregular(lockPath(dir)); err != nil {
		return false, err
	}
	lock := reader(dir)
	free, err := lock.TryRLock()
	if err != nil {
		return false, err
	}
	return !free, lock.Close()
}

// takeLock tries once to take the lock of dir and keep it. It reports false when
// someone else has it, or when the directory was removed or replaced meanwhile.
// The descriptor is close-on-exec, as all that package os opens, so no child
// can keep the lock alive.
func takeLock(dir string) (*flock.Flock, bool, error) {
	if err := refuseIrregular(lockPath(dir)); err != nil {
		return nil, false, err
	}
	lock := flock.New(lockPath(dir), flock.SetFlag(os.O_CREATE|os.O_RDONLY|syscall.O_NONBLOCK), flock.SetPermissions(fileMode))
	ok, err := lock.TryLock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil || !ok {
		return nil, false, err
	}
	if stillThere(lock) {
		return lock, true, nil
	}
	return nil, false, lock.Close()
}

// stillThere reports whether the locked file is the one that its path names: a
// run that was pruned between opening and locking leaves a lock that nobody
// else will ever look at.
func stillThere(lock *flock.Flock) bool {
	have, err := lock.Stat()
	if err != nil {
		return false
	}
	want, err := os.Stat(lock.Path())
	return err == nil && os.SameFile(have, want)
}

// WaitEnded returns when nobody holds the lock of the run in dir any more, or
// the run has been removed. A run without a lock file from the start is
// fs.ErrNotExist: nothing to wait for, and no proof that it ended.
func WaitEnded(ctx context.Context, dir string) error {
	live, err := held(dir)
	for live && err == nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for run %s to end: %w", filepath.Base(dir), ctx.Err())
		case <-time.After(lockPoll):
		}
		if live, err = held(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("cannot wait for run %s to end: %w", filepath.Base(dir), err)
	}
	return nil
}
