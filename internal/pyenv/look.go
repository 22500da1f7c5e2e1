package pyenv

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/python"
)

// Found is a Python that Resolve would choose.
type Found struct {
	Python  string // absolute path of the interpreter
	Source  string // as Environment.Source
	Version string // such as 3.12.1
	Notice  string // as Environment.Notice
	// ToMake says that the managed environment is not there yet, and that Python
	// is the interpreter from which the first start would make it.
	ToMake bool
}

// Look says what Resolve would choose, and changes nothing: it makes no
// environment and unpacks no worker. It runs the interpreters in question, for
// an instant each. Options.Progress is not used. Problems that a person can solve
// are an *Error.
func Look(ctx context.Context, o Options) (Found, error) {
	if o.Python != "" {
		path, ok := lookPath(o.Python, o.Path)
		if !ok {
			path = o.Python
		}
		found, err := examine(ctx, path)
		found.Source = SourceNamed
		return found, err
	}
	var notice string
	if o.VirtualEnv != "" {
		found, err := examine(ctx, filepath.Join(o.VirtualEnv, "bin", "python"))
		if err == nil {
			found.Source = SourceVirtualEnv
			return found, nil
		}
		unfit, ok := errors.AsType[*Error](err)
		if !ok {
			return Found{}, err
		}
		notice = unfitNotice(unfit)
	}
	found, err := lookManaged(ctx, o)
	found.Source, found.Notice = SourceManaged, notice
	return found, err
}

func lookManaged(ctx context.Context, o Options) (Found, error) {
	m := managed{root: filepath.Join(o.CacheDir, "python"), path: o.Path, requirements: python.Requirements()}
	base, err := firstBase(m.path)
	if err != nil {
		return Found{}, err
	}
	home := filepath.Join(m.root, m.key(base))
	if interpreter, ok := ready(home); ok {
		// Its workers get no PYTHONHOME, either: it points to another interpreter.
		env := slices.DeleteFunc(inherited(), func(entry string) bool { return strings.HasPrefix(entry, "PYTHONHOME=") })
		return examineIn(ctx, interpreter, env)
	}
	found, err := findBase(ctx, m.path)
	return Found{Python: found.Base, Version: found.Version.String(), ToMake: true}, err
}
