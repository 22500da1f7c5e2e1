package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Far more than any configuration needs. The limits keep a wrong path (a log, a
// device) or a hostile file from filling the memory.
const (
	maxFileBytes = 64 << 10
	maxLineBytes = 8 << 10
	maxBrackets  = 1000
)

// document is what a configuration file says. The values are not parsed yet:
// a value that a higher layer replaces need not be right.
type document struct {
	settings   map[string]value
	pythonPath []value
	pools      map[string]poolDocument
}

type poolDocument struct {
	settings map[string]value
	env      map[string]string
}

// readDocument reads the file at path; name is what the user called it.
func readDocument(name, path string) (document, error) {
	data, err := readLimited(path)
	if err != nil {
		return document{}, fileError(name, err)
	}
	return parseDocument(name, data)
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("it is larger than %d KiB", maxFileBytes>>10)
	}
	return data, err
}

func fileError(name string, err error) *Error {
	e := &Error{What: name, Reason: err.Error(), Hint: "give a YAML file with --config", cause: err}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		e.Reason = pathErr.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Hint = "check the path given with --config or " + configVariable
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "make the file readable for your user"
	}
	return e
}

// parseDocument checks the form of the file: known keys, each once, with values
// of the right type. It walks the syntax tree itself, because the decoder of
// go-yaml, strict as it is asked to be, turns numbers into text and drops every
// key of a mapping that holds one that is not text.
func parseDocument(name string, data []byte) (document, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // a byte order mark, from editors on Windows
	w := walker{name: name, lines: strings.Split(string(data), "\n")}
	if !utf8.Valid(data) {
		return document{}, &Error{What: name, Reason: "it is not UTF-8 text", Hint: "save the file as UTF-8"}
	}
	if reason := outsize(data); reason != "" {
		return document{}, &Error{What: name, Reason: reason, Hint: "give a YAML file with --config"}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return document{}, w.syntaxError(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return document{}, w.bad(doc.Body, "a second YAML document", "keep one document in the file")
		}
		body = doc.Body
	}
	if body == nil {
		return document{}, nil
	}
	return w.document(body)
}

// outsize guards the parser, whose time and memory grow with the square of the
// nesting: a level on one line needs two bytes, and a bracket only one.
func outsize(data []byte) string {
	if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxBrackets {
		return fmt.Sprintf("it has more than %d opening brackets", maxBrackets)
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(line) > maxLineBytes {
			return fmt.Sprintf("line %d is longer than %d KiB", i+1, maxLineBytes>>10)
		}
	}
	return ""
}

func (w walker) syntaxError(err error) *Error {
	e := &Error{What: w.name, Reason: "it is not YAML", Hint: "correct the YAML there"}
	var at yaml.Error
	if !errors.As(err, &at) {
		e.Reason = err.Error()
		return e
	}
	e.What = w.place(at.GetToken())
	e.Reason = strings.TrimRight(at.GetMessage()+"\n"+w.excerpt(at.GetToken()), "\n")
	return e
}
