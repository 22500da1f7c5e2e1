package doctor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/supervisor"
)

func (e *examination) configuration() {
	const name = "configuration"
	if e.Invalid != nil {
		var setting *config.Error
		hint := ""
		if errors.As(e.Invalid, &setting) {
			hint = setting.Hint
		}
		e.fail(name, hint, "%v", e.Invalid)
		return
	}
	if run, err := rundir.Open(e.Runs, e.Config.RunID); err == nil && run.Alive && e.Config.RunID != e.Running {
		e.fail(name, fmt.Sprintf("stop it: snakepit stop --run-id %s; or choose another: --run-id NAME", e.Config.RunID),
			"the run %s is alive already", e.Config.RunID)
		return
	}
	for _, p := range e.Config.Pools {
		if len(p.Command) == 0 {
			continue
		}
		path, err := supervisor.Program(p)
		if err != nil {
			e.fail(name, "give the program's path, or put its directory on PATH", "pool %s cannot run its command: %v", p.Name, err)
			return
		}
		if err := interpreterOf(path); err != nil {
			e.fail(name, "mend its first line: head -1 "+path, "pool %s cannot run its command: the interpreter of %s: %v", p.Name, path, err)
			return
		}
	}
	e.ok(name, "%s", describePools(e.Config))
}

// interpreterOf looks for the one that a script names in its first line, which is what
// the kernel would start (execve(2)).
func interpreterOf(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return nil // it may be run and not read, and is no script then
	}
	defer file.Close()
	const longest = 256 // that the kernel reads
	head := make([]byte, longest)
	n, _ := io.ReadFull(file, head) // a short file is read whole
	line, script := strings.CutPrefix(string(head[:n]), "#!")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if !script || len(words) == 0 {
		return nil
	}
	_, err = os.Stat(words[0])
	return err
}

// describePools is "8 workers: default (8 × hello:Hello)".
func describePools(c config.Config) string {
	var pools []string
	for _, p := range c.Pools {
		program := p.Adapter
		if len(p.Command) > 0 {
			program = p.Command[0]
		}
		pools = append(pools, fmt.Sprintf("%s (%d × %s)", p.Name, p.Workers, program))
	}
	return plural(workers(c), "worker", "workers") + ": " + strings.Join(pools, ", ")
}
