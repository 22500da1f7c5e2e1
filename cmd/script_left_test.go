package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/adrg/xdg"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

func runsIn(stateHome string) string { return filepath.Join(stateHome, "snakepit", "runs") }

// cleanUp names what the runs below root have left, and ends it: supervisors and
// guards by the identity in their record, workers by their marker. Whom it is to
// spare is not left over; nil spares nobody.
func cleanUp(root string, spare func(pid int) bool) []string {
	left := leftBehind(root, spare)
	except := func(p procscan.Process) bool { return spare != nil && spare(p.PID) }
	runs, _, _ := rundir.List(root) // leftBehind has named the error
	for _, run := range runs {
		if run.Record != nil {
			endProcess(run.Record.Supervisor)
		}
		if run.Record != nil && run.Record.Guard != nil {
			endProcess(*run.Record.Guard)
		}
		if _, survivors, err := procscan.EndRun(context.Background(), run.RunID, except, procscan.EndOptions{}); err != nil || len(survivors) > 0 {
			left = append(left, fmt.Sprintf("and it cannot be ended: %v, %v", survivors, err))
		}
	}
	return left
}

// leftBehind names what of the runs below root is alive: the run itself, its
// supervisor and guard, who carries its marker, who holds its ports.
func leftBehind(root string, spare func(pid int) bool) []string {
	if info, err := os.Stat(filepath.Dir(filepath.Dir(root))); err == nil && !info.IsDir() {
		return nil // the story about a state directory that is none
	}
	runs, _, err := rundir.List(root)
	if err != nil {
		return []string{err.Error()}
	}
	all, err := procscan.Scan(context.Background(), procscan.Options{ReadEnv: true})
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for _, run := range runs {
		if run.Alive {
			left = append(left, fmt.Sprintf("run %s is alive", run.RunID))
		} else {
			left = append(left, livingOwners(run)...)
		}
		for _, p := range all.Run(run.RunID) {
			if spare != nil && spare(p.PID) {
				continue
			}
			left = append(left, fmt.Sprintf("PID %d of run %s: %s", p.PID, run.RunID, strings.Join(p.Args, " ")))
		}
		left = append(left, heldPorts(run, all)...)
	}
	return left
}

// livingOwners looks for the supervisor and the guard. The lock and the word of
// the supervisor come a moment before the exit of its process.
func livingOwners(run rundir.Found) []string {
	if run.Record == nil {
		return nil
	}
	var left []string
	if !endsSoon(run.Record.Supervisor) {
		left = append(left, fmt.Sprintf("the supervisor of run %s, PID %d", run.RunID, run.Record.Supervisor.PID))
	}
	if guard := run.Record.Guard; guard != nil && !endsSoon(*guard) {
		left = append(left, fmt.Sprintf("the guard of run %s, PID %d", run.RunID, guard.PID))
	}
	return left
}

func identity(p rundir.Process) procscan.ID {
	return procscan.ID{PID: p.PID, Start: p.Start, Boot: p.Boot}
}

func endsSoon(p rundir.Process) bool {
	handle, err := procscan.Open(identity(p))
	if err != nil {
		return true
	}
	defer handle.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return handle.Wait(ctx) == nil
}

func endProcess(p rundir.Process) {
	handle, err := procscan.Open(identity(p))
	if err != nil {
		return
	}
	defer handle.Close()
	_ = handle.Signal(syscall.SIGKILL) // it is gone, or it was said that it lives
	_ = handle.Wait(context.Background())
}

// heldPorts looks for workers that listen on the ports that the run's workers
// had. A stranger, or a worker of another run, may have got the port since.
func heldPorts(run rundir.Found, all procscan.Snapshot) []string {
	var held []string
	for _, port := range portsOf(run) {
		if portcheck.Check(context.Background(), "127.0.0.1", port) == nil {
			continue
		}
		owners, err := portcheck.Owners(context.Background(), "127.0.0.1", port)
		if err != nil {
			held = append(held, err.Error())
		}
		for _, owner := range owners {
			p, marked := all.Find(int(owner.PID))
			ours := !marked || p.RunID == run.RunID
			if ours && owner.State == "LISTEN" && strings.HasPrefix(owner.Command, xdg.CacheHome) {
				held = append(held, fmt.Sprintf("port %d of run %s: %s", port, run.RunID, owner))
			}
		}
	}
	return held
}

func portsOf(run rundir.Found) []int {
	var ports []int
	events, _ := readEvents(run) // a run that failed early has none
	for _, e := range events {
		if e.Port != 0 && !slices.Contains(ports, e.Port) {
			ports = append(ports, e.Port)
		}
	}
	return ports
}

// readEvents reads the events of a run, strictly.
func readEvents(run rundir.Found) ([]telemetry.Record, error) {
	file, err := os.Open(rundir.EventsPath(run.Dir))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var events []telemetry.Record
	for lines := bufio.NewScanner(file); lines.Scan(); {
		decoder := json.NewDecoder(strings.NewReader(lines.Text()))
		decoder.DisallowUnknownFields()
		var event telemetry.Record
		if err := decoder.Decode(&event); err != nil {
			return events, fmt.Errorf("%s: %w", lines.Text(), err)
		}
		events = append(events, event)
	}
	return events, nil
}
