package pyenv

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Kind says what stands in the way of a working Python.
type Kind string

const (
	NoPython       Kind = "no python"       // no python3 on PATH that answers
	TooOld         Kind = "too old"         // only interpreters before the minimum version
	MissingPackage Kind = "missing package" // the named interpreter lacks what the worker imports
	NotFound       Kind = "not found"       // the named interpreter is no interpreter
	InstallFailed  Kind = "install failed"  // the packages could not be installed, or do not work
	NoVenv         Kind = "no venv"         // Python without its venv module, as Debian packages it
	Cache          Kind = "cache"           // the cache directory cannot be written
)

// Error is a problem with Python that a person can solve. Message reads
// "cannot X: reason", and may go on in indented lines with what the failed
// program printed last. Hint says what to do next.
type Error struct {
	Kind    Kind
	Message string
	Hint    string
	Err     error // the cause, where there is one

	command string // the command inside Hint that installs what is missing
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

const hintOtherPython = "install Python " + minimumText + " or newer " +
	"(Debian/Ubuntu: apt install python3 python3-venv; macOS: brew install python), " +
	"or name one: --python /path/to/python3"

func noPythonError(silent error) *Error {
	reason := "no python3 on PATH"
	if silent != nil {
		reason = "no python3 on PATH answers; the first: " + silent.Error()
	}
	return &Error{Kind: NoPython, Message: "cannot find Python: " + reason, Hint: hintOtherPython, Err: silent}
}

func tooOldError(v version, path string) *Error {
	return &Error{
		Kind:    TooOld,
		Message: fmt.Sprintf("cannot use %s: it is Python %s, and workers need %s or newer", path, v, minimumText),
		Hint:    hintOtherPython,
	}
}

func missingError(path string, packages []requirement) *Error {
	names := make([]string, len(packages))
	install := []string{quoted(path), "-m", "pip", "install"}
	for i, p := range packages {
		names[i] = p.pip
		install = append(install, "'"+p.pip+">="+p.minimum+"'")
	}
	command := strings.Join(install, " ")
	return &Error{
		Kind:    MissingPackage,
		Message: fmt.Sprintf("cannot use %s: it lacks %s", path, strings.Join(names, ", ")),
		Hint:    command + "\nor leave out --python: snakepit then makes an environment of its own",
		command: command,
	}
}

func notFoundError(path string, reason string, cause error) *Error {
	return &Error{
		Kind:    NotFound,
		Message: fmt.Sprintf("cannot use the Python %s: %s", path, reason),
		Hint:    "name an interpreter, such as --python /path/to/venv/bin/python, or leave out --python",
		Err:     cause,
	}
}

func installError(reason, output string, cause error) *Error {
	return &Error{
		Kind:    InstallFailed,
		Message: "cannot install the Python packages: " + reason + indented(lastLines(output)),
		Hint: "try again with the network up (pip heeds HTTPS_PROXY and PIP_INDEX_URL), " +
			"or name an environment of your own that has the packages: --python /path/to/venv/bin/python",
		Err: cause,
	}
}

func noVenvError(base string, v version, output string) *Error {
	return &Error{
		Kind:    NoVenv,
		Message: fmt.Sprintf("cannot make a Python environment: %s lacks venv or ensurepip%s", base, indented(lastLines(output))),
		Hint: fmt.Sprintf("Debian/Ubuntu: apt install python3-venv (or python%d.%d-venv), "+
			"or name an environment of your own: --python /path/to/venv/bin/python", v[0], v[1]),
	}
}

func cacheError(dir string, cause error) *Error {
	reason := cause.Error()
	if at, ok := errors.AsType[*fs.PathError](cause); ok {
		reason = at.Err.Error() // without the path, which is said already
	}
	return &Error{
		Kind:    Cache,
		Message: strings.TrimSpace("cannot write the cache "+dir) + ": " + reason,
		Hint:    "make it writable, or point XDG_CACHE_HOME to a directory that is",
		Err:     cause,
	}
}

// quoted makes path one word for a POSIX shell.
func quoted(path string) string {
	if strings.ContainsAny(filepath.ToSlash(path), " \t\n'\"\\$&;()<>|*?[]#~`!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
