package cmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// What chaos and bench share: they run this program for a long time, and write down
// what came of it.

// itself is this program and where it runs.
func itself() (program, dir string, err error) {
	if program, err = os.Executable(); err != nil {
		return "", "", fmt.Errorf("cannot find this program: %w", err)
	}
	if dir, err = os.Getwd(); err != nil {
		return "", "", fmt.Errorf("cannot find the working directory: %w", err)
	}
	return program, dir, nil
}

// tryReport finds out beforehand that a report could not be written: it may take
// an hour to come. An earlier one goes: if this process is killed, it would still be
// green.
func tryReport(path, example string) error {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return failf(exitUsage, "choose another place: --report "+example, "cannot write the report: %w", err)
	}
	return file.Close()
}

// writeReport writes a report to its file; without one, to the output, unless it was
// shown there already.
func writeReport(env *Env, path string, shown bool, encode func(io.Writer) error) error {
	var text bytes.Buffer
	if err := encode(&text); err != nil {
		return err
	}
	if path == "" {
		if shown {
			return nil
		}
		_, err := env.Out.Write(text.Bytes())
		return unlessReaderLeft(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil { // others show it
		return fmt.Errorf("cannot write the report: %w", err)
	}
	fmt.Fprintf(env.Err, "report: %s\n", filepath.Clean(path))
	return nil
}
