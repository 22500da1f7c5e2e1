package rundir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// Settled says that nothing is left to be done for a run that has ended: its end
// is written down, without survivors, and its registry names nobody.
func (f Found) Settled() bool {
	if f.Record == nil || f.Record.State != StateEnded || f.Record.End != nil && len(f.Record.End.Survivors) > 0 {
		return false
	}
	entries, err := ReadRegistry(f.Dir)
	return err == nil && len(entries) == 0
}

// Settle writes down what became of the processes of a run whose supervisor has
// died, by their PIDs, and who tells of it: adding to what an earlier cleanup has written. How, and
// Reason if there is none, of seen are filled in. When there are no survivors it also removes what
// the supervisor would have: its socket and the registry. Broken files are set
// aside.
func (r *Run) Settle(seen End) error {
	record, err := readRecord(r.dir)
	if err != nil {
		record = Record{}
		if err = setAsideIfThere(recordPath(r.dir)); err != nil {
			return err
		}
	}
	if record.State != StateEnded || record.End == nil {
		record.State = StateEnded
		record.End = &End{At: seen.At.UTC(), Confirmed: seen.Confirmed, How: EndSupervisorDied, Reason: cmp.Or(seen.Reason, "the supervisor ended without stopping the run")}
	}
	record.End.Add(seen.By, seen.Found, seen.Killed)
	record.End.Survivors = seen.Survivors
	err = r.WriteRecord(record)
	if _, broken := ReadRegistry(r.dir); broken != nil {
		err = errors.Join(err, setAsideIfThere(registryPath(r.dir)))
	}
	if len(seen.Survivors) > 0 {
		return err
	}
	return errors.Join(err, removeIfThere(registryPath(r.dir)), removeStaleSocket(record.Socket))
}

func setAsideIfThere(path string) error {
	_, err := SetAside(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot clean up after the supervisor: %w", err)
	}
	return nil
}

// removeStaleSocket leaves alone what is no socket, and one that somebody has: a
// living run of the same name, with another state directory. Nobody has one only
// where the connection is refused (connect(2)); one that is busy, of another type,
// or forbidden to us, is somebody's.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil // what is not there need not be removed
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		return removeIfThere(path)
	}
	return nil
}
