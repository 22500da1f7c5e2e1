package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The files of a run as they are documented, written down a second time.

type recordFile struct {
	Supervisor struct {
		PID int `json:"pid"`
	} `json:"supervisor"`
	Guard *struct {
		PID int `json:"pid"`
	} `json:"guard"`
	Socket string     `json:"socket"`
	State  string     `json:"state"`
	Config configFile `json:"config"`
	End    *endFile   `json:"end"`
}

type configFile struct {
	Host           string `json:"host"`
	Grace          string `json:"grace"`
	ReleaseTimeout string `json:"release_timeout"`
	Pools          []struct {
		Name    string `json:"name"`
		Workers int    `json:"workers"`
		Ready   string `json:"ready"`
	} `json:"pools"`
}

type endFile struct {
	How       string `json:"how"`
	Reason    string `json:"reason"`
	Found     []int  `json:"found"`
	Killed    []int  `json:"killed"`
	Survivors []int  `json:"survivors"`
	Confirmed bool   `json:"confirmed"`
}

type entryFile struct {
	Worker string `json:"worker"`
	Pool   string `json:"pool"`
	Host   string `json:"host"`
	Port   int    `json:"port"`
	PID    int    `json:"pid"`
	Start  uint64 `json:"start"`
}

type eventLine struct {
	Time   time.Time `json:"time"`
	Event  string    `json:"event"`
	Worker string    `json:"worker"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	PID    int       `json:"pid"`
	Port   int       `json:"port"`
	Reason string    `json:"reason"`
	Exit   string    `json:"exit"`
	Cause  string    `json:"cause"`
	Count  *int      `json:"count"`
	PIDs   []int     `json:"pids"`
	Source string    `json:"source"`
}

func (e eventLine) String() string {
	words := []string{e.Event}
	if e.Worker != "" {
		words = append(words, fmt.Sprintf("%s %s → %s", e.Worker, e.From, e.To))
	}
	if e.PID != 0 {
		words = append(words, fmt.Sprintf("PID %d", e.PID))
	}
	if e.Count != nil {
		words = append(words, fmt.Sprintf("count %d", *e.Count))
	}
	if e.Reason != "" {
		words = append(words, "("+e.Reason+")")
	}
	return strings.Join(words, "  ")
}

// readRecord reads run.json.
func (r *run) readRecord() (recordFile, error) {
	var record recordFile
	text, err := os.ReadFile(filepath.Join(r.dir(), "run.json"))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil {
		return record, fmt.Errorf("cannot read the record of run %s: %w", r.id, err)
	}
	return record, nil
}

// readRegistry reads workers.json; no file names nobody.
func (r *run) readRegistry() ([]entryFile, error) {
	var registry struct {
		Workers []entryFile `json:"workers"`
	}
	text, err := os.ReadFile(filepath.Join(r.dir(), "workers.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &registry)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the registry of run %s: %w", r.id, err)
	}
	return registry.Workers, nil
}

// readEvents reads events.jsonl as far as it is whole: a writer that was killed
// may have left half a line.
func (r *run) readEvents() []eventLine {
	text, err := os.ReadFile(filepath.Join(r.dir(), "events.jsonl"))
	if err != nil {
		return nil // a run that did not come so far has none
	}
	var events []eventLine
	for line := range strings.Lines(string(text)) {
		var e eventLine
		if json.Unmarshal([]byte(line), &e) == nil && e.Event != "" {
			events = append(events, e)
		}
	}
	return events
}

// lockIsFree tries the run's lock, for an instant, as a reader.
func (r *run) lockIsFree() (bool, error) {
	file, err := os.Open(filepath.Join(r.dir(), "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close() // which gives the lock back
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// tails are the last lines of each log.
func (r *run) tails(lines int) []LogTail {
	paths, _ := filepath.Glob(filepath.Join(r.dir(), "logs", "*.log")) // the pattern is right
	slices.Sort(paths)
	var tails []LogTail
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			continue
		}
		all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		tails = append(tails, LogTail{
			Name:  r.id + "/" + strings.TrimSuffix(filepath.Base(path), ".log"),
			Lines: all[max(0, len(all)-lines):],
		})
	}
	return tails
}
