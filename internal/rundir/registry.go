package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Entry is one slot of the registry.
type Entry struct {
	Worker      string `json:"worker"`
	Pool        string `json:"pool"`
	Host        string `json:"host"`
	Port        int    `json:"port"`
	Incarnation uint64 `json:"incarnation"`
	// PID is 0 when the slot is registered and nothing is spawned yet.
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // see Process
	Boot  string `json:"boot"`
}

// ErrRegistryClosed is what a change after Close gets.
var ErrRegistryClosed = errors.New("the registry is closed")

type registryFile struct {
	SchemaVersion int     `json:"schema_version"`
	Workers       []Entry `json:"workers"`
}

// Registry says which process is in which slot, in memory and in workers.json.
// One goroutine owns both. Changes that arrive while it writes share its next
// write, so a hundred workers that start together cost a few writes, and every
// caller still returns only when its own change is on disk.
type Registry struct {
	path    string
	write   func(path string, data []byte) error
	changes chan change
	queries chan chan []Entry
	quit    chan struct{}
	done    chan struct{} // closed when the owner has returned
	once    sync.Once
	last    []Entry // what it held at the end; read after done

	lines map[string]line // of the file, by worker; the owner's
}

// line is an entry as it stands in the file. It is kept, because all are written at
// every change: to encode each anew would take most of the time of a large start.
type line struct {
	entry Entry
	text  []byte
}

type change struct {
	apply  func(map[string]Entry)
	result chan error
}

// OpenRegistry starts an empty registry in place of the one on disk. Close it
// before the run.
func (r *Run) OpenRegistry() (*Registry, error) {
	return openRegistry(registryPath(r.dir), replace)
}

func openRegistry(path string, write func(string, []byte) error) (*Registry, error) {
	reg := &Registry{
		path: path, write: write,
		changes: make(chan change), queries: make(chan chan []Entry),
		quit: make(chan struct{}), done: make(chan struct{}), lines: map[string]line{},
	}
	if err := reg.save(nil); err != nil {
		return nil, err
	}
	go reg.own()
	return reg, nil
}

// Put registers the entry or replaces the one of the same worker. After an
// error the registry is as it was before.
func (reg *Registry) Put(e Entry) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("cannot register worker %s: %w", e.Worker, err)
	}
	return reg.change(func(m map[string]Entry) { m[e.Worker] = e })
}

// Remove forgets the worker; it need not be there.
func (reg *Registry) Remove(workerID string) error {
	return reg.change(func(m map[string]Entry) { delete(m, workerID) })
}

// Entries returns a copy, sorted by worker.
func (reg *Registry) Entries() []Entry {
	answer := make(chan []Entry, 1)
	select {
	case reg.queries <- answer:
		return <-answer
	case <-reg.done:
		return slices.Clone(reg.last)
	}
}

// Close ends the owner. The file stays as it is.
func (reg *Registry) Close() error {
	reg.once.Do(func() { close(reg.quit) })
	<-reg.done
	return nil
}

func (reg *Registry) change(apply func(map[string]Entry)) error {
	c := change{apply, make(chan error, 1)}
	select {
	case reg.changes <- c:
		return <-c.result
	case <-reg.done:
		return ErrRegistryClosed
	}
}

func (reg *Registry) own() {
	entries := map[string]Entry{}
	defer close(reg.done)
	for {
		select {
		case c := <-reg.changes:
			entries = reg.commit(entries, reg.gather(c))
		case answer := <-reg.queries:
			answer <- sorted(entries)
		case <-reg.quit:
			reg.last = sorted(entries)
			return
		}
	}
}

// gather adds the changes whose callers are waiting by now.
func (reg *Registry) gather(first change) []change {
	batch := []change{first}
	for {
		select {
		case c := <-reg.changes:
			batch = append(batch, c)
		default:
			return batch
		}
	}
}

// commit writes the changed entries and returns them, or the old ones when the
// write failed.
func (reg *Registry) commit(old map[string]Entry, batch []change) map[string]Entry {
	entries := maps.Clone(old)
	for _, c := range batch {
		c.apply(entries)
	}
	err := reg.save(entries)
	for _, c := range batch {
		c.result <- err
	}
	if err != nil {
		return old
	}
	return entries
}

func (reg *Registry) save(entries map[string]Entry) error {
	text, err := reg.encode(entries)
	if err == nil {
		err = reg.write(reg.path, text)
	}
	if err != nil {
		return fmt.Errorf("cannot write the registry: %w", err)
	}
	return nil
}

// encode makes the text of a registryFile, one worker a line.
func (reg *Registry) encode(entries map[string]Entry) ([]byte, error) {
	text := fmt.Appendf(nil, "{\n  \"schema_version\": %d,\n  \"workers\": [", SchemaVersion)
	separator := "\n    "
	for _, e := range sorted(entries) {
		known, ok := reg.lines[e.Worker]
		if !ok || known.entry != e {
			encoded, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			known = line{e, encoded}
			reg.lines[e.Worker] = known
		}
		text = append(append(text, separator...), known.text...)
		separator = ",\n    "
	}
	return append(text, "\n  ]\n}\n"...), nil
}

func sorted(entries map[string]Entry) []Entry {
	list := make([]Entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Worker, b.Worker) })
	return list
}
