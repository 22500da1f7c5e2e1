package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Input is what the layers are made of.
type Input struct {
	// File is the configuration file of --config, relative to WorkDir. Empty:
	// the one that SNAKEPIT_CONFIG names, or none.
	File string
	// Flags holds the flags that were given, and no others: name without dashes
	// (see FlagNames) to its text. The text of "python-path" is a list joined
	// by os.PathListSeparator.
	Flags map[string]string
	// Getenv looks up an environment variable. An empty one counts as not set.
	Getenv func(string) string
	// WorkDir is the absolute working directory.
	WorkDir string
}

// Load returns the configuration of a run. Every error is an *Error, except
// when no random run id can be made.
func Load(in Input) (Config, error) {
	for _, name := range slices.Sorted(maps.Keys(in.Flags)) {
		if !slices.Contains(FlagNames(), name) {
			return Config{}, (&fault{"there is no such setting", "known: " + strings.Join(FlagNames(), ", ")}).on("--" + name)
		}
	}
	l := layers{in: in}
	if err := l.readFile(); err != nil {
		return Config{}, err
	}
	cfg, err := l.resolve()
	if err != nil {
		return Config{}, err
	}
	return cfg, cfg.Validate()
}

// layers are the sources of settings, highest first: flags and variables in
// the input, then the file.
type layers struct {
	in   Input
	file document
	dir  string // of the file
}

func (l *layers) readFile() error {
	name := l.in.File
	if name == "" {
		name = l.in.Getenv(configVariable)
	}
	if name == "" {
		return nil
	}
	path := absolute(name, l.in.WorkDir)
	l.dir = filepath.Dir(path)
	var err error
	l.file, err = readDocument(name, path)
	return err
}

func (l *layers) resolve() (Config, error) {
	cfg := Config{
		Host: DefaultHost, ReadyTimeout: DefaultReadyTimeout, Grace: DefaultGrace, ReleaseTimeout: DefaultReleaseTimeout,
		MaxRestarts: DefaultMaxRestarts, RestartWindow: DefaultRestartWindow,
		HealthInterval: DefaultHealthInterval, HealthTimeout: DefaultHealthTimeout,
		Orphans: DefaultOrphans, EmergencyCleanup: DefaultCleanup, ResourceCleanup: DefaultResources, LogFormat: LogText,
	}
	for _, s := range slices.Concat(runSettings, featureSettings) {
		v, dir, ok := l.above(s)
		if !ok {
			v, ok = l.file.settings[s.key]
			dir = l.dir
		}
		if !ok {
			continue
		}
		if err := cfg.set(s.key, v, dir); err != nil {
			return Config{}, err
		}
	}
	var err error
	if cfg.PythonPath, err = l.pythonPath(); err != nil {
		return Config{}, err
	}
	if cfg.Pools, err = l.pools(); err != nil {
		return Config{}, err
	}
	if cfg.RunID == "" {
		cfg.RunID, err = NewRunID()
	}
	return cfg, err
}

// above returns what the layers above the file say, and the directory that
// relative paths start from.
func (l *layers) above(s setting) (value, string, bool) {
	if text, ok := l.in.Flags[s.flag]; ok {
		return flagValue(s.flag, text), l.in.WorkDir, true
	}
	if text := l.in.Getenv(s.variable); text != "" {
		return variableValue(s.variable, text), l.in.WorkDir, true
	}
	return value{}, "", false
}

func (l *layers) pythonPath() ([]string, error) {
	entries, dir := l.file.pythonPath, l.dir
	if v, above, ok := l.above(pythonPath); ok {
		entries, dir = nil, above
		for _, text := range filepath.SplitList(v.text) {
			if text != "" {
				entries = append(entries, value{text: text, what: v.what})
			}
		}
		if len(entries) == 0 {
			return nil, v.bad(&fault{"it names no directory", "give directories separated by " + string(filepath.ListSeparator)})
		}
	}
	if len(entries) == 0 {
		return []string{l.in.WorkDir}, nil
	}
	var dirs []string
	for _, entry := range entries {
		path := absolute(entry.text, dir)
		if f := checkDirectory(path); f != nil {
			f.reason += ": " + show(path)
			return nil, entry.bad(f)
		}
		dirs = append(dirs, path)
	}
	return dirs, nil
}

// pools builds the pools of the file, or the one pool there is without them,
// and applies the flags and variables to the pool they mean.
func (l *layers) pools() ([]Pool, error) {
	names := slices.Sorted(maps.Keys(l.file.pools))
	target, err := l.target(names)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = []string{target}
	}
	var pools []Pool
	for _, name := range names {
		p, err := l.pool(name, name == target)
		if err != nil {
			return nil, err
		}
		pools = append(pools, p)
	}
	return pools, nil
}

// target returns the pool that the flags and variables are about, "" for none.
func (l *layers) target(names []string) (string, error) {
	list := strings.Join(names, ", ")
	if v, _, ok := l.above(poolName); ok {
		if f := checkPoolName(v.text); f != nil {
			return "", v.bad(f)
		}
		if len(names) > 0 && !slices.Contains(names, v.text) {
			return "", v.bad(&fault{"the file defines no such pool; it has " + list, "name one of these, or add the pool to the file"})
		}
		return v.text, nil
	}
	switch len(names) {
	case 0:
		return DefaultPool, nil
	case 1:
		return names[0], nil
	}
	for _, s := range poolSettings {
		if v, _, ok := l.above(s); ok {
			return "", v.bad(&fault{
				fmt.Sprintf("the file defines %d pools (%s) and it could be meant for any", len(names), list),
				"add --pool NAME",
			})
		}
	}
	return "", nil
}

func (l *layers) pool(name string, targeted bool) (Pool, error) {
	p := Pool{Name: name, Workers: DefaultWorkers, Env: l.file.pools[name].env}
	given := map[string]value{}
	for _, s := range poolSettings {
		v, ok := l.file.pools[name].settings[s.key]
		if targeted {
			if top, _, above := l.above(s); above {
				v, ok = top, true
			}
		}
		if !ok {
			continue
		}
		given[s.key] = v
		if err := p.set(s.key, v); err != nil {
			return Pool{}, err
		}
	}
	if err := p.complete(given); err != nil {
		return Pool{}, err
	}
	return p, p.completeStart(given)
}
