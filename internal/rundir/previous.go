package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// What Create keeps of an earlier run of the same id.

// Leftover returns what the registry said before Create emptied the directory:
// the processes of an earlier run with the same id, which may still be alive
// when its supervisor died.
func (r *Run) Leftover() []Entry { return r.leftover }

// Previous returns the record of an earlier run with the same id, as it was
// before Create emptied the directory; nil when there was none.
func (r *Run) Previous() *Record { return r.previous }

// Broken returns what Create could not read of an earlier run with the same id.
// It is still there, under the name that the reason tells.
func (r *Run) Broken() []Problem { return r.broken }

// keepPrevious reads what says who was here before, and sets aside what cannot
// be read: somebody may still want to know whom it named.
func (r *Run) keepPrevious() error {
	record, err := readRecord(r.dir)
	if err == nil {
		r.previous = &record
	} else if err := r.setAside(recordPath(r.dir), err); err != nil {
		return err
	}
	if r.leftover, err = ReadRegistry(r.dir); err != nil {
		return r.setAside(registryPath(r.dir), errors.Unwrap(err)) // which names the path already
	}
	return nil
}

func (r *Run) setAside(path string, reason error) error {
	if errors.Is(reason, fs.ErrNotExist) {
		return nil
	}
	aside, err := SetAside(path)
	if err != nil {
		return err
	}
	r.broken = append(r.broken, Problem{
		RunID: r.id, Path: path, Reason: fmt.Sprintf("%s; it was set aside as %s", pathReason(reason), filepath.Base(aside)),
	})
	return nil
}

// isAside says that a file is one that SetAside has named, of those that a run
// has.
func isAside(name string) bool {
	for _, path := range []string{recordPath(""), registryPath("")} {
		if ok, _ := filepath.Match(path+".corrupt-*", name); ok {
			return true
		}
	}
	return false
}
