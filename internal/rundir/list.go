package rundir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Found is a run on disk, seen at one instant.
type Found struct {
	RunID string
	Dir   string
	// Alive says that a supervisor holds the lock.
	Alive bool
	// LockUnknown says that Alive is not known: there is no lock file, or it
	// cannot be looked at.
	LockUnknown bool
	// Record is nil when run.json is missing or broken.
	Record *Record
	// Problems of this run, also in the sum that List returns.
	Problems []Problem
}

// Problem is a file that cannot be used, and why.
type Problem struct {
	RunID  string
	Path   string
	Reason string
}

func (p Problem) String() string { return "cannot use " + p.Path + ": " + p.Reason }

// List looks at every run under root, sorted by run id. A root that does not
// exist has no runs. The error is about the root alone.
func List(root string) ([]Found, []Problem, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list the runs: %w", err)
	}
	var runs []Found
	var problems []Problem
	for _, e := range entries {
		if !e.IsDir() || !isName(e.Name()) {
			continue
		}
		found, err := Open(root, e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned while we looked
		}
		runs = append(runs, found)
		problems = append(problems, found.Problems...)
	}
	return runs, problems, nil
}

// Open looks at one run. The only error is fs.ErrNotExist.
func Open(root, runID string) (Found, error) {
	missing := fmt.Errorf("cannot find run %q: %w", runID, fs.ErrNotExist)
	if !isName(runID) {
		return Found{}, missing
	}
	dir := filepath.Join(root, runID)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return Found{}, missing
	}
	return look(dir), nil
}

// look reads the lock before the record: in the other order a run that ends in
// between would show a free lock and a record that says running, which is what
// the death of a supervisor looks like.
func look(dir string) Found {
	found := Found{RunID: filepath.Base(dir), Dir: dir}
	live, err := held(dir)
	found.Alive, found.LockUnknown = live, err != nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		found.problem(lockPath(dir), err)
	}
	rec, err := readRecord(dir)
	switch {
	case err == nil:
		found.Record = &rec
	case errors.Is(err, fs.ErrNotExist) && live: // it is about to be written
	default:
		found.problem(recordPath(dir), err)
	}
	return found
}

func (f *Found) problem(path string, err error) {
	reason := err.Error()
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		reason = pathErr.Err.Error()
	}
	f.Problems = append(f.Problems, Problem{f.RunID, path, reason})
}

// prunePrefix marks directories that are being removed. No run id starts with
// a dot.
const prunePrefix = ".pruned-"

// Prune removes the oldest ended runs and keeps the newest keep of them. A run
// is ended when its lock is free and either its record says that it ended
// without survivors, or its registry names nobody: what a dead supervisor left
// is the evidence by which its orphans are found, and stays until someone has
// cleaned up.
func Prune(root string, keep int) (removed []string, err error) {
	runs, _, err := List(root)
	if err != nil {
		return nil, err
	}
	removeLeftovers(root)
	runs = slices.DeleteFunc(runs, func(f Found) bool { return !f.ended() })
	slices.SortFunc(runs, func(a, b Found) int { return cmp.Or(b.age().Compare(a.age()), strings.Compare(a.RunID, b.RunID)) })
	for _, f := range runs[min(max(keep, 0), len(runs)):] {
		ok, pruneErr := prune(root, f.RunID)
		if ok {
			removed = append(removed, f.RunID)
		}
		err = errors.Join(err, pruneErr)
	}
	return removed, err
}

func (f Found) ended() bool {
	if f.Alive || f.LockUnknown {
		return false
	}
	if f.Record != nil && f.Record.State == StateEnded && (f.Record.End == nil || len(f.Record.End.Survivors) == 0) {
		return true
	}
	entries, err := ReadRegistry(f.Dir)
	return err == nil && len(entries) == 0
}

// age returns when the run ended, as far as that is known.
func (f Found) age() time.Time {
	if f.Record != nil && f.Record.End != nil {
		return f.Record.End.At
	}
	if info, err := os.Stat(f.Dir); err == nil {
		return info.ModTime()
	}
	return time.Time{}
}

// prune removes one run under its lock. It renames the directory first, so that
// a supervisor that starts with the same id meets either the whole directory,
// locked, or none.
func prune(root, runID string) (bool, error) {
	dir := filepath.Join(root, runID)
	lock, ok, err := takeLock(dir)
	if err != nil || !ok {
		return false, err
	}
	defer lock.Close()
	now := Found{Dir: dir}
	if rec, err := readRecord(dir); err == nil {
		now.Record = &rec
	}
	if !now.ended() {
		return false, nil // a new run took the id and died since we looked
	}
	gone := filepath.Join(root, prunePrefix+runID)
	if err := os.Rename(dir, gone); err != nil {
		return false, fmt.Errorf("cannot remove run %s: %w", runID, err)
	}
	return true, os.RemoveAll(gone)
}

// removeLeftovers finishes what an interrupted Prune began.
func removeLeftovers(root string) {
	entries, _ := os.ReadDir(root)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prunePrefix) {
			os.RemoveAll(filepath.Join(root, e.Name()))
		}
	}
}
