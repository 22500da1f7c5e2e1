package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/adrg/xdg"
	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// stateRoot is where runs leave their files, $XDG_STATE_HOME/snakepit/runs.
func stateRoot() string { return filepath.Join(xdg.StateHome, "snakepit", "runs") }

// cacheRoot is where the Python environment is kept, $XDG_CACHE_HOME/snakepit.
func cacheRoot() string { return filepath.Join(xdg.CacheHome, "snakepit") }

// addRunFlag adds --run-id to a command that needs a run. An empty one, as --run-id
// "$UNSET" gives, is refused: what was meant for one run would be done to another, or
// to all.
func addRunFlag(c *cobra.Command, target *string) {
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if *target == "" && c.Flags().Changed("run-id") {
			return failf(exitUsage, "name a run: --run-id NAME; or leave --run-id out; an unset variable gives an empty name",
				"cannot tell which run is meant: --run-id is given, and is empty")
		}
		return nil
	}
	c.Flags().StringVar(target, "run-id", "", "the run; without it, the only living one")
	_ = c.RegisterFlagCompletionFunc("run-id", completeRuns) // fails only for a flag that is not there
}

// findRun is the run that is named, dead or alive, or the only living one. With
// several, it lists them and exits 6.
func findRun(id string) (rundir.Found, error) {
	found, _, err := rundir.List(stateRoot())
	if err != nil {
		return rundir.Found{}, err
	}
	var alive []rundir.Found
	var ids []string
	for _, f := range found {
		if f.RunID == id {
			return f, nil
		}
		if f.Alive {
			alive = append(alive, f)
			ids = append(ids, f.RunID)
		}
	}
	switch {
	case id != "":
		return rundir.Found{}, failf(exitNothing, runsHint(ids), "cannot find run %q: there is no such run", id)
	case len(alive) == 0:
		return rundir.Found{}, failf(exitNothing, "start one: snakepit start --workers 8", "cannot find a run: none is alive")
	case len(alive) > 1:
		return rundir.Found{}, failf(exitAmbiguous, "name one: --run-id "+ids[0], "cannot choose a run: %d are alive: %s", len(ids), strings.Join(ids, ", "))
	}
	return alive[0], nil
}

func runsHint(ids []string) string {
	if len(ids) == 0 {
		return "no run is alive; start one: snakepit start --workers 8"
	}
	return "alive: " + strings.Join(ids, ", ")
}

// dialRun connects to a living run.
func dialRun(id string) (*control.Client, rundir.Found, error) {
	found, err := findRun(id)
	if err != nil {
		return nil, found, err
	}
	if !found.Alive {
		return nil, found, failf(exitNothing, "what it left: snakepit logs --run-id "+found.RunID,
			"cannot reach run %q: it has ended", found.RunID)
	}
	socket, err := socketOf(found)
	if err != nil {
		return nil, found, err
	}
	client, err := control.Dial(socket)
	if err != nil {
		return nil, found, fmt.Errorf("cannot reach run %q: %w", found.RunID, err)
	}
	return client, found, nil
}

// socketOf is the socket that the run's record names. Without a record that can
// be read, it is the one that a run of this name and this user has.
func socketOf(f rundir.Found) (string, error) {
	if f.Record != nil {
		return f.Record.Socket, nil
	}
	return rundir.SocketPath(os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), os.Getuid(), f.RunID)
}

// completeRuns offers the ids of runs to the shell: of the living ones, but where a
// command is about what is left of runs. kill-orphans refuses a living one.
func completeRuns(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	found, _, _ := rundir.List(stateRoot()) // a shell completion has nobody to tell
	var ids []string
	for _, f := range found {
		fits := f.Alive
		switch c.Name() {
		case "events", "logs", "report", "orphans":
			fits = true
		case "kill-orphans":
			fits = !f.Alive
		}
		if fits {
			ids = append(ids, f.RunID)
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// status asks one run for its state.
func status(ctx context.Context, f rundir.Found) (*runStatus, error) {
	socket, err := socketOf(f)
	if err != nil {
		return nil, err
	}
	client, err := control.Dial(socket)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	answer, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	return statusOf(answer), nil
}
