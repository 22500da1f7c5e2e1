package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// stopWorkers stops some workers of a run that goes on. What was told to stop
// stops, even if this command is interrupted.
func (o *stopOptions) stopWorkers(ctx context.Context, client *control.Client, found rundir.Found, workers []string) error {
	show := &endings{env: o.env, styles: newStyles(o.env.Err)}
	what := "workers of run " + found.RunID
	err := client.StopWorkers(ctx, workers, o.grace, o.force, show.worker)
	switch {
	case errors.Is(err, pool.ErrNoWorker):
		return failf(exitNothing, "see: snakepit list; to stop a run: snakepit stop --run-id "+found.RunID, "cannot stop %s: %w", what, err)
	case err != nil:
		return unreached(found, "stop workers of", err)
	}
	if err := show.verdict(what); err != nil {
		return err
	}
	s := show.styles
	fmt.Fprintf(o.env.Err, "%s  %s of run %s\n", s.state("stopped"), count(len(show.ended), "worker", "workers"), s.title.Render(found.RunID))
	fmt.Fprintln(o.env.Err, s.next(fmt.Sprintf("start again: snakepit restart %s --run-id %s", strings.Join(show.ended, " "), found.RunID)))
	return nil
}

// endings shows workers as they end, one by one, and keeps count of what went
// wrong.
type endings struct {
	env    *Env
	styles *styles
	ended  []string // ids
	wrong  int      // lines that told of something
}

func (e *endings) worker(w *controlpb.WorkerStopped) {
	e.ended = append(e.ended, w.Id)
	fmt.Fprintln(e.env.Err, stoppedLine(e.styles, w.Id, int(w.Pid), w.Exit, w.Signal, w.Took.AsDuration()))
	for _, survivor := range w.Survivors {
		e.complain(survivorText(survivor))
	}
	if w.Error != "" {
		e.complain(w.Id + ": " + w.Error)
	}
}

func (e *endings) complain(text string) {
	e.wrong++
	fmt.Fprintln(e.env.Err, e.styles.bad.Render("✗ "+text))
}

// verdict fails when not everything was clean.
func (e *endings) verdict(what string) error {
	if e.wrong == 0 {
		return nil
	}
	return failf(exitFailed, lookAtWhatIsLeft, "%s stopped, but not cleanly: see the lines marked with ✗", what)
}
