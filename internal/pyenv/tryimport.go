package pyenv

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/python"
)

// ImportOptions say which adapter to import, and how.
type ImportOptions struct {
	Python     string        // the interpreter
	Adapter    string        // "module:Class"
	PythonPath []string      // where adapters are imported from
	Env        []string      // of a worker, without a marker
	Limit      time.Duration // how long it may take
}

// Import is what the import of an adapter told.
type Import struct {
	Packages  map[string]string // versions, by the name that pip knows
	Took      time.Duration     // for gRPC, the worker's package and the adapter's module
	PeakBytes uint64            // resident memory, at its highest
	// Threads are those that the kernel counts in the process after the import, and
	// ThreadsBefore those when gRPC and the worker's package were imported, and the
	// adapter was not; 0 when that is not known.
	Threads, ThreadsBefore int

	ThreadNames []string // of those that Python knows, but for the main one
}

// ImportError says why an adapter cannot be imported: kind, message and hint
// are the worker's own, as a start would show them.
type ImportError struct {
	Kind    string // "hung" and "ended" are ours
	Message string
	Hint    string
	Last    []string // what it printed last
}

func (e *ImportError) Error() string { return e.Message }

//go:embed tryimport.py
var importScript string

const importPrefix = "snakepit-import:"

// TryImport imports an adapter's module as a worker does, in a process that ends
// then, and makes no instance of it. Nothing is written, not even compiled
// modules: the worker's package goes to the process over its standard input. A
// process that takes longer than the limit is killed with its group. Problems
// that a person can solve are an *ImportError.
func TryImport(ctx context.Context, o ImportOptions) (Import, error) {
	input, err := importInput(o)
	if err != nil {
		return Import{}, err
	}
	limited, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	var stdout, stderr tail
	err = run(limited, command{
		path: o.Python, args: []string{"-B", "-c", importScript}, stdin: input,
		env:    slices.Concat(o.Env, []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"}),
		stdout: &stdout, stderr: &stderr,
	})
	switch {
	case ctx.Err() != nil:
		return Import{}, fmt.Errorf("cannot import %s: %w", o.Adapter, context.Cause(ctx))
	case limited.Err() != nil:
		return Import{}, &ImportError{
			Kind: "hung", Message: fmt.Sprintf("the import of %s has not ended within %v", o.Adapter, o.Limit), Last: stacks(stderr.String()),
		}
	}
	return parseImport(o.Adapter, stdout.String(), stderr.String(), err)
}

// stacks are the innermost frames of the last stacks that were written.
func stacks(output string) []string {
	const head, frames = "(most recent call first):\n", 3
	at := strings.LastIndex(output, head)
	if at < 0 {
		return lastLines(output)
	}
	lines := strings.Split(output[at+len(head):], "\n")
	return lines[:min(frames, len(lines))]
}

// importInput is what the script reads.
func importInput(o ImportOptions) (string, error) {
	sources := map[string]string{}
	tree := python.Worker()
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path == python.Entry {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		sources[path] = string(text)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cannot read the embedded worker: %w", err)
	}
	var packages []string
	for _, r := range required() {
		packages = append(packages, r.pip)
	}
	module, class, _ := strings.Cut(o.Adapter, ":")
	text, err := json.Marshal(map[string]any{
		"sources": sources, "packages": packages, "python_path": o.PythonPath, "module": module, "class": class,
		// Late enough to be the last word, and early enough to be heard.
		"stacks_after": (o.Limit * 8 / 10).Seconds(),
	})
	return string(text), err
}

// importAnswer is the line that the script prints.
type importAnswer struct {
	Kind     string            `json:"kind"` // empty: it went well
	Message  string            `json:"message"`
	Hint     string            `json:"hint"`
	Packages map[string]string `json:"packages"`
	Seconds  float64           `json:"seconds"`
	Threads  int               `json:"threads"`
	Before   int               `json:"threads_before"`
	Names    []string          `json:"thread_names"`
	Peak     uint64            `json:"peak_bytes"`
}

// parseImport finds the line that is ours: an adapter may print anything around
// it. exit is how the process ended.
func parseImport(adapter, stdout, stderr string, exit error) (Import, error) {
	var text string
	for line := range strings.Lines(stdout) {
		if _, rest, ok := strings.Cut(line, importPrefix); ok {
			text = rest
		}
	}
	var a importAnswer
	if text == "" {
		if exit == nil {
			exit = errors.New("exit status 0")
		}
		return Import{}, &ImportError{
			Kind: "ended", Message: fmt.Sprintf("the process ended during the import of %s: %v", adapter, exit), Last: lastLines(stderr),
		}
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return Import{}, fmt.Errorf("cannot read what the import of %s told: %w", adapter, err)
	}
	if a.Kind != "" {
		return Import{}, &ImportError{Kind: a.Kind, Message: a.Message, Hint: a.Hint, Last: lastLines(stderr)}
	}
	return Import{
		Packages: a.Packages, Took: time.Duration(a.Seconds * float64(time.Second)), PeakBytes: a.Peak,
		Threads: a.Threads, ThreadsBefore: a.Before, ThreadNames: a.Names,
	}, nil
}
