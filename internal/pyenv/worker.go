package pyenv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// unpack makes the files of source be there, in a directory under root named
// by their content, and returns the path of entry among them. Each file is
// compared and put in place on its own, in one step: that needs no lock
// against others who unpack the same, and heals what was damaged. A tree that
// is in order is only read.
func unpack(root string, source fs.FS, entry string) (string, error) {
	name, files, err := contents(source)
	if err != nil {
		return "", fmt.Errorf("cannot read the embedded worker: %w", err)
	}
	dir := filepath.Join(root, name)
	for path, content := range files {
		if err := ensureFile(filepath.Join(dir, filepath.FromSlash(path)), content); err != nil {
			return "", cacheError(root, err)
		}
	}
	return filepath.Join(dir, entry), nil
}

// contents reads all files of source, and names them by a hash over paths and
// bytes.
func contents(source fs.FS) (name string, files map[string][]byte, err error) {
	files = make(map[string][]byte)
	sum := sha256.New()
	err = fs.WalkDir(source, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(source, path)
		fmt.Fprintf(sum, "%q %d\n%s", path, len(files[path]), files[path])
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:8]), files, err
}

// ensureFile leaves the directory writable: Python keeps its compiled modules
// there.
func ensureFile(path string, content []byte) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFile(path, content, 0o444)
}
