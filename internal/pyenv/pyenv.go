// Package pyenv finds the Python that runs the workers, and makes one when
// nobody named one: a managed virtual environment in the user's cache. It also
// unpacks the worker that is embedded in the binary.
//
// It is the only room that runs interpreters to look at them or to install
// into them. It does not start workers, reads no environment variable on its
// own except to hand the whole environment to its children, and prints
// nothing: what a person should see goes to Options.Progress.
package pyenv

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/snakepit-dev/snakepit/python"
)

// Where an interpreter came from, in Environment.Source.
const (
	SourceNamed      = "--python"
	SourceVirtualEnv = "virtual environment"
	SourceManaged    = "managed"
)

// Options says where to look.
type Options struct {
	Python     string            // an interpreter the user named: a path, or a name on Path; "" to look for one
	VirtualEnv string            // the active virtual environment's directory ($VIRTUAL_ENV); "" for none
	CacheDir   string            // the product's own cache directory; made when it is not there
	Path       string            // where to find python3 and uv, as $PATH; only absolute entries count
	Progress   func(step string) // told of each slow step in one short line, never from two goroutines at once; may be nil
}

// Environment is a Python that can run workers, and what to run with it.
type Environment struct {
	Python string // absolute path of the interpreter; a virtual environment's symlink is kept
	Source string // SourceNamed, SourceVirtualEnv or SourceManaged
	Entry  string // absolute path of the worker's unpacked entry point
	Notice string // something the user should know about the choice; "" when there is nothing
}

// Resolve returns the first Python that serves: Options.Python (which must),
// Options.VirtualEnv, the managed environment. With the managed environment in
// place it runs no process and writes nothing. Problems that a person can
// solve are an *Error; a cancelled ctx is returned wrapped, and leaves no
// process of ours.
func Resolve(ctx context.Context, o Options) (Environment, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.CacheDir == "" {
		return Environment{}, cacheError("", errors.New("no directory for it is known"))
	}
	cache, err := filepath.Abs(o.CacheDir)
	if err != nil {
		return Environment{}, cacheError(o.CacheDir, err)
	}
	o.CacheDir = cache
	env, err := choose(ctx, o)
	if err != nil {
		return Environment{}, err
	}
	env.Entry, err = unpack(filepath.Join(o.CacheDir, "worker"), python.Worker(), python.Entry)
	if err != nil {
		return Environment{}, err
	}
	return env, nil
}

func choose(ctx context.Context, o Options) (Environment, error) {
	if o.Python != "" {
		return named(ctx, o)
	}
	var notice string
	if o.VirtualEnv != "" {
		interpreter, err := serving(ctx, filepath.Join(o.VirtualEnv, "bin", "python"))
		if err == nil {
			return Environment{Python: interpreter, Source: SourceVirtualEnv}, nil
		}
		unfit, ok := errors.AsType[*Error](err)
		if !ok {
			return Environment{}, err
		}
		notice = unfitNotice(unfit)
	}
	m := managed{
		root:         filepath.Join(o.CacheDir, "python"),
		path:         o.Path,
		requirements: python.Requirements(),
		progress:     o.Progress,
	}
	interpreter, err := m.ensure(ctx)
	return Environment{Python: interpreter, Source: SourceManaged, Notice: notice}, err
}

func named(ctx context.Context, o Options) (Environment, error) {
	path, ok := lookPath(o.Python, o.Path)
	if !ok {
		path = o.Python
	}
	interpreter, err := serving(ctx, path)
	return Environment{Python: interpreter, Source: SourceNamed}, err
}

// serving checks that the interpreter at path can run a worker, and returns
// the path to run it by.
func serving(ctx context.Context, path string) (string, error) {
	found, err := examine(ctx, path)
	return found.Python, err
}

func examine(ctx context.Context, path string) (Found, error) {
	return examineIn(ctx, path, inherited())
}

func examineIn(ctx context.Context, path string, env []string) (Found, error) {
	path, err := executable(path)
	if err != nil {
		return Found{}, err
	}
	found, err := probe(ctx, path, env, probeTimeout)
	switch missing := found.missing(); {
	case err != nil:
		return Found{}, err
	case found.Version.tooOld():
		return Found{}, tooOldError(found.Version, path)
	case len(missing) > 0:
		return Found{}, missingError(path, missing)
	}
	return Found{Python: found.interpreter(path), Version: found.Version.String()}, nil
}

func unfitNotice(unfit *Error) string {
	reason, _, _ := strings.Cut(unfit.Message, "\n")
	notice := reason + "; using the managed environment instead"
	if unfit.Kind == MissingPackage {
		notice += fmt.Sprintf(" (to use this one: %s)", unfit.command)
	}
	return notice
}
