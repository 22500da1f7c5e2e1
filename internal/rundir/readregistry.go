package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

func registryPath(dir string) string { return filepath.Join(dir, "workers.json") }

// RegistryPath returns the registry file of the run in dir, for SetAside.
func RegistryPath(dir string) string { return registryPath(dir) }

// ReadRegistry reads the registry of the run in dir, which another process may
// own. A run that has none yet has no entries. A broken file is an error that
// names it.
func ReadRegistry(dir string) ([]Entry, error) {
	path := registryPath(dir)
	data, err := readLimited(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var entries []Entry
	if err == nil {
		entries, err = parseRegistry(data)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, pathReason(err))
	}
	return entries, nil
}

func parseRegistry(data []byte) ([]Entry, error) {
	var file registryFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	if file.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("schema version %d is not known here, only %d is", file.SchemaVersion, SchemaVersion)
	}
	seen := map[string]bool{}
	for _, e := range file.Workers {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("worker %q: %w", e.Worker, err)
		}
		if seen[e.Worker] {
			return nil, fmt.Errorf("worker %q is there twice", e.Worker)
		}
		seen[e.Worker] = true
	}
	return file.Workers, nil
}

// check refuses what must never reach a function that signals: 0 is nobody yet,
// 1 is init, and to kill(2) a negative number is a group, or everybody.
func (e Entry) check() error {
	switch {
	case e.Worker == "":
		return errors.New("it has no id")
	case e.PID < 0 || e.PID == 1:
		return fmt.Errorf("PID %d cannot be a worker's", e.PID)
	case e.Port < 0 || e.Port > 65535:
		return fmt.Errorf("there is no port %d", e.Port)
	}
	return nil
}
