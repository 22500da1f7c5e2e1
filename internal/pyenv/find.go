package pyenv

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// baseNames are the interpreters to make an environment from, best first.
func baseNames() []string {
	return []string{"python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"}
}

// lookPath finds name in the absolute entries of path. Relative entries are
// left out as in os/exec: what they name changes with the working directory.
func lookPath(name, path string) (string, bool) {
	if name == "" || strings.ContainsRune(name, filepath.Separator) {
		return "", false
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if found, err := executable(filepath.Join(dir, name)); err == nil {
			return found, true
		}
	}
	return "", false
}

// executable makes path absolute and checks that it is a file one may run. It
// follows no symlink in the result: a virtual environment is known by the
// link, not by its target. The error is an *Error of kind NotFound.
func executable(path string) (string, error) {
	if path == "" {
		return "", notFoundError(`""`, "it has no name", nil)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", notFoundError(path, err.Error(), err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", notFoundError(abs, "no such file", err)
	case err != nil:
		return "", notFoundError(abs, errors.Unwrap(err).Error(), err)
	case info.IsDir():
		return "", directoryError(abs)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return "", notFoundError(abs, "it is not an executable file", fs.ErrPermission)
	}
	return abs, nil
}

func directoryError(dir string) *Error {
	e := notFoundError(dir, "it is a directory", nil)
	if inside, err := executable(filepath.Join(dir, "bin", "python")); err == nil {
		e.Hint = "name the interpreter inside it: --python " + quoted(inside)
	}
	return e
}

// firstBase is the file behind the first interpreter on path. It names the
// managed environment, so it must cost no process.
func firstBase(path string) (string, error) {
	for _, name := range baseNames() {
		if found, ok := lookPath(name, path); ok {
			resolved, err := filepath.EvalSymlinks(found)
			if err != nil {
				return "", notFoundError(found, err.Error(), err)
			}
			return resolved, nil
		}
	}
	return "", noPythonError(nil)
}

// findBase asks the interpreters on path, and returns the first that is new
// enough.
func findBase(ctx context.Context, path string) (answer, error) {
	var oldest, silent error
	for _, name := range baseNames() {
		found, ok := lookPath(name, path)
		if !ok {
			continue
		}
		a, err := probe(ctx, found, isolated(), probeTimeout)
		switch {
		case ctx.Err() != nil:
			return answer{}, err
		case err != nil:
			silent = firstOf(silent, err)
		case a.Version.tooOld():
			oldest = firstOf(oldest, tooOldError(a.Version, found))
		default:
			if a.Base == "" {
				a.Base = a.interpreter(found)
			}
			return a, nil
		}
	}
	if oldest != nil {
		return answer{}, oldest
	}
	return answer{}, noPythonError(silent)
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
