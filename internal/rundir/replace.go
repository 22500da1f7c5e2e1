package rundir

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	// maxJSONBytes keeps a file that is not ours from filling the memory. The
	// registry of 4096 workers takes about 1 MiB.
	maxJSONBytes = 16 << 20
)

// replace writes the file in one step: whoever reads it sees the old contents
// or the new ones. There is no fsync. It would cost milliseconds at every
// change, and it protects only against power loss, after which neither the
// supervisor nor any process that the files name exists.
//
// The error is an *fs.PathError of the file: the other one's name means nothing to
// anybody, and it is gone again.
func replace(path string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = &fs.PathError{Op: "write", Path: path, Err: pathReason(err)}
		}
	}()
	// CreateTemp makes the file with mode 0600.
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(data); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func replaceJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return replace(path, append(data, '\n'))
}

func readLimited(path string) ([]byte, error) {
	f, err := OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxJSONBytes {
		return nil, errTooLarge() // a gigabyte need not be read for that
	}
	data, err := io.ReadAll(io.LimitReader(f, maxJSONBytes+1))
	if err == nil && len(data) > maxJSONBytes {
		err = errTooLarge() // it has grown
	}
	return data, err
}

func errTooLarge() error { return fmt.Errorf("larger than %d MiB", maxJSONBytes>>20) }

// SetAside renames a broken file to NAME.corrupt-UNIXTIME, so that its place is
// free and it can still be looked at. It is for those who clean up; readers
// leave a broken file where it is.
func SetAside(path string) (newPath string, err error) {
	newPath = fmt.Sprintf("%s.corrupt-%d", path, time.Now().Unix())
	if err := os.Rename(path, newPath); err != nil {
		return "", fmt.Errorf("cannot set %s aside: %w", path, err)
	}
	return newPath, nil
}
