package config

import (
	"fmt"
	"strings"
)

// Error says which setting cannot be used and why. The command line turns it
// into a usage error (exit code 2).
type Error struct {
	// What names the setting, its value and where it came from.
	What string
	// Reason says what is wrong with it. For a YAML error an excerpt of the
	// file with a caret follows on the next lines.
	Reason string
	// Hint says what to do next; as all hints, it begins small and ends without a stop.
	Hint string

	cause error
}

// Error returns "cannot use WHAT: REASON".
func (e *Error) Error() string { return "cannot use " + e.What + ": " + e.Reason }

// Unwrap returns the operating system's error where there is one, so that
// callers can tell fs.ErrNotExist from fs.ErrPermission.
func (e *Error) Unwrap() error { return e.cause }

// fault is a broken rule before it is known whose value broke it.
type fault struct{ reason, hint string }

func (f *fault) on(what string) *Error {
	return &Error{What: what, Reason: f.reason, Hint: f.hint}
}

// value is a setting as it was written, with its origin.
type value struct {
	text    string
	words   []string // of a list in the file; nil for a single text
	what    string   // names the setting, its value and its origin
	excerpt string   // the place in the file, for a value from a file
}

func (v value) bad(f *fault) *Error {
	e := f.on(v.what)
	if v.excerpt != "" {
		e.Reason += "\n" + v.excerpt
	}
	return e
}

func flagValue(flag, text string) value {
	return value{text: text, what: "--" + flag + " " + show(text)}
}

func variableValue(name, text string) value {
	return value{text: text, what: name + "=" + show(text)}
}

// show quotes what would be invisible or unclear in a sentence.
func show(text string) string {
	const enough = 200
	if len(text) > enough {
		text = text[:enough] + "..."
	}
	quoted := fmt.Sprintf("%q", text)
	if text == "" || strings.ContainsAny(text, " :") || quoted != `"`+text+`"` {
		return quoted
	}
	return text
}
