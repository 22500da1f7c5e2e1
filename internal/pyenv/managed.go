package pyenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// managed is the environment that we make ourselves.
//
//	<root>/<key>.lock        held by whoever makes it
//	<root>/<key>/ready.json  the marker, written last: names the directory that is complete
//	<root>/<key>/env-…/      one attempt each
//
// Every attempt has a directory of its own. When a builder is killed, what its
// installer had started may write on for a moment, and must not do so into the
// next attempt.
type managed struct {
	root         string
	path         string // as Options.Path
	requirements string
	progress     func(string)
}

const (
	markerName    = "ready.json"
	attemptPrefix = "env-"
)

// A marker proves an environment complete, without running it.
type marker struct {
	Directory string    `json:"directory"` // beside the marker
	Version   version   `json:"version"`
	Size      int64     `json:"size"`     // of the interpreter behind bin/python, in bytes
	Modified  time.Time `json:"modified"` // of the interpreter
	Files     []string  `json:"files"`    // absolute; of the modules that the worker imports
}

func (m managed) ensure(ctx context.Context) (string, error) {
	base, err := firstBase(m.path)
	if err != nil {
		return "", err
	}
	home := filepath.Join(m.root, m.key(base))
	if interpreter, ok := ready(home); ok {
		return interpreter, nil
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", cacheError(m.root, err)
	}
	lock := flock.New(home + ".lock")
	if err := m.acquire(ctx, lock); err != nil {
		return "", err
	}
	defer lock.Close()
	if interpreter, ok := ready(home); ok {
		return interpreter, nil // the one we waited for made it
	}
	if interpreter, ok := confirm(ctx, home); ok {
		return interpreter, nil
	}
	return m.build(ctx, home)
}

// key changes with everything that makes an environment unusable. The base is
// a path only, so that a patch release of Python in the same place does not
// need the network.
func (m managed) key(base string) string {
	parts := []string{m.requirements, runtime.GOOS, runtime.GOARCH, base}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

func (m managed) acquire(ctx context.Context, lock *flock.Flock) error {
	locked, err := lock.TryLock()
	if err == nil && !locked {
		m.progress("waiting for another snakepit that is making the Python environment")
		locked, err = lock.TryLockContext(ctx, 20*time.Millisecond)
	}
	switch {
	case ctx.Err() != nil:
		lock.Close()
		return fmt.Errorf("cannot wait for the Python environment: %w", context.Cause(ctx))
	case err != nil:
		return cacheError(m.root, err)
	case !locked:
		return cacheError(m.root, errors.New("its lock is not to be had"))
	}
	return nil
}

// ready returns the interpreter of a complete environment that is as it was
// when its marker was written. It runs nothing.
func ready(home string) (string, bool) {
	mark, ok := readMarker(home)
	if !ok {
		return "", false
	}
	interpreter := mark.interpreter(home)
	info, err := os.Stat(interpreter)
	if err != nil || info.Size() != mark.Size || !info.ModTime().Equal(mark.Modified) {
		return "", false
	}
	return interpreter, mark.filesExist()
}

// confirm keeps an environment whose interpreter was replaced, if it still
// works: an update of the system changes the file, and mostly not the version.
func confirm(ctx context.Context, home string) (string, bool) {
	mark, ok := readMarker(home)
	if !ok {
		return "", false
	}
	interpreter := mark.interpreter(home)
	files, err := verify(ctx, interpreter)
	if err != nil {
		return "", false
	}
	return interpreter, writeMarker(home, mark.Directory, files) == nil
}

func (k marker) interpreter(home string) string {
	return filepath.Join(home, k.Directory, "bin", "python")
}

// filesExist notices a cache that was cleaned file by file.
func (k marker) filesExist() bool {
	for _, file := range k.Files {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return len(k.Files) == len(required())
}

// readMarker takes a marker it cannot read for none: the environment is then
// made again.
func readMarker(home string) (marker, bool) {
	text, err := os.ReadFile(filepath.Join(home, markerName))
	if err != nil {
		return marker{}, false
	}
	var k marker
	if err := json.Unmarshal(text, &k); err != nil {
		return marker{}, false
	}
	return k, strings.HasPrefix(k.Directory, attemptPrefix) && filepath.Base(k.Directory) == k.Directory
}

func writeMarker(home, directory string, a answer) error {
	mark := marker{Directory: directory, Version: a.Version}
	info, err := os.Stat(mark.interpreter(home))
	if err != nil {
		return err
	}
	mark.Size, mark.Modified = info.Size(), info.ModTime()
	for _, r := range required() {
		mark.Files = append(mark.Files, *a.Modules[r.module])
	}
	text, err := json.MarshalIndent(mark, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(home, markerName), append(text, '\n'), 0o600)
}

// writeFile puts content at path in one step: no reader sees half of it.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Chmod(mode), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
