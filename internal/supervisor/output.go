package supervisor

import (
	"bytes"
	"sync"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// registryOf keeps a pool's entries in the run's directory.
type registryOf struct{ file *rundir.Registry }

func (r registryOf) Put(e pool.Entry) error {
	return r.file.Put(rundir.Entry{
		Worker: e.Worker, Pool: e.Pool, Host: e.Host, Port: e.Port, Incarnation: e.Incarnation,
		PID: e.Process.PID, Start: e.Process.Start, Boot: e.Process.Boot,
	})
}

func (r registryOf) Remove(worker string) error { return r.file.Remove(worker) }

// openOutput is where a worker's output goes: its log, and whoever watches.
func (s *supervisor) openOutput(spec pool.Spec) (pool.Output, error) {
	log, err := rundir.OpenLog(s.dir.LogPath(spec.Worker), time.Now)
	if err != nil {
		return nil, err
	}
	if s.opts.Output == nil {
		return logOutput{log}, nil
	}
	return &watchedOutput{Output: logOutput{log}, show: func(line string) { s.opts.Output(spec.Worker, line) }}, nil
}

// logOutput is a log as the pool wants it.
type logOutput struct{ *rundir.LogWriter }

func (l logOutput) Tail() []string {
	var lines []string
	for _, line := range l.LogWriter.Tail() {
		lines = append(lines, line.Text)
	}
	return lines
}

// maxShown is the longest line that is shown whole, in bytes; what is longer
// comes in pieces, so that a worker that never ends its line costs no memory.
const maxShown = 64 << 10

// watchedOutput shows each whole line, and the last one even if it is not.
type watchedOutput struct {
	pool.Output
	show func(line string)

	mu   sync.Mutex // guards rest; show is quick
	rest []byte
}

func (w *watchedOutput) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte{'\n'})
		if !whole && len(line) < maxShown {
			break
		}
		w.show(string(line))
		w.rest = rest
	}
	w.mu.Unlock()
	return w.Output.Write(p)
}

func (w *watchedOutput) Close() error {
	w.mu.Lock()
	if len(w.rest) > 0 {
		w.show(string(w.rest))
	}
	w.mu.Unlock()
	return w.Output.Close()
}
