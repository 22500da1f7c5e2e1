package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Handoff is what a detached supervisor is given by the one who starts it, on
// its standard input.
type Handoff struct {
	Config     config.Config
	Python     pyenv.Environment
	Runs       string
	RuntimeDir string
}

// Report is what a detached supervisor says while it starts, one JSON line
// each, on its standard output. The last one is Ready or Failed.
type Report struct {
	Event   *pool.Event   `json:",omitempty"`
	Warning string        `json:",omitempty"` // what went wrong beside the workers
	Ready   bool          `json:",omitempty"`
	Failed  *FailedReport `json:",omitempty"`
}

// FailedReport is an error in the words of the detached supervisor.
type FailedReport struct {
	Text string
	Hint string
	Code int
}

// Detached is a supervisor that was started in a session of its own.
type Detached struct {
	cmd     *exec.Cmd
	reports *json.Decoder
	pipe    io.Closer
}

// Detach starts this program again, as "snakepit supervise", so that it lives
// on when the caller ends.
func Detach(executable string, h Handoff) (*Detached, error) {
	keepDescriptors()
	cmd := detached(executable, h.Config.RunID)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	if err := errors.Join(json.NewEncoder(in).Encode(h), in.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start the supervisor: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	return &Detached{cmd: cmd, reports: json.NewDecoder(out), pipe: out}, nil
}

// detached is its command. The caller may be a worker's: the run of that is not
// the new supervisor's, and must not take it along when it ends.
func detached(executable, runID string) *exec.Cmd {
	cmd := exec.Command(executable, "supervise", "--run-id", runID)
	cmd.Args[0] = "snakepit"
	cmd.Env = procscan.WithoutMarker(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// Next waits for a report. An error means that the supervisor ended without a
// last word.
func (d *Detached) Next() (Report, error) {
	var r Report
	if err := d.reports.Decode(&r); err != nil {
		if ended := d.cmd.Wait(); ended != nil {
			err = ended // "signal: killed" says more than "EOF"
		}
		return r, fmt.Errorf("the supervisor ended while it started: %w", err)
	}
	return r, nil
}

// Interrupt asks for an orderly stop.
func (d *Detached) Interrupt() error { return d.cmd.Process.Signal(os.Interrupt) }

// Wait waits for a supervisor that has failed.
func (d *Detached) Wait() error { return d.cmd.Wait() }
