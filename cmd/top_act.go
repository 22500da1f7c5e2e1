package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// topOrder is what a person has asked for.
type topOrder struct {
	what    topOrderKind
	found   rundir.Found
	workers int // of the run
	worker  string
	pid     int // of the worker; 0: it has no process
}

type topOrderKind int

const (
	topRestart topOrderKind = iota
	topStopWorker
	topStopRun
)

// topDone is what became of it: a line or a few.
type topDone struct {
	text   string
	failed bool
}

// topActTime is how long top waits to hear of the end of what it has asked for.
const topActTime = 2 * time.Minute

// confirm asks whether it is meant. What is confirmed is what was shown, whatever is
// chosen by then.
func (m *topModel) confirm(what topOrderKind) {
	row, ok := m.chosenRow()
	if !ok {
		m.said = topDone{text: "no worker is chosen"}
		return
	}
	workers := 0
	for _, p := range row.run.status.Pools {
		workers += len(p.Workers)
	}
	m.pending = &topOrder{what, row.run.found, workers, row.worker.ID, row.worker.PID}
	m.mode = topConfirm
}

func (o *topOrder) question() string {
	process := "no process now"
	if o.pid > 0 {
		process = fmt.Sprintf("PID %d", o.pid)
	}
	switch o.what {
	case topRestart:
		return fmt.Sprintf("restart %s (%s) of run %s?", o.worker, process, o.found.RunID)
	case topStopWorker:
		return fmt.Sprintf("stop %s (%s) of run %s?", o.worker, process, o.found.RunID)
	}
	return fmt.Sprintf("stop the whole run %s with its %s?", o.found.RunID, count(o.workers, "worker", "workers"))
}

func (o *topOrder) doing() string {
	switch o.what {
	case topRestart:
		return "restarting " + o.worker + " …"
	case topStopWorker:
		return "stopping " + o.worker + " …"
	}
	return "stopping run " + o.found.RunID + " …"
}

func (m *topModel) answerConfirm(key tea.KeyPressMsg) tea.Cmd {
	order := *m.pending
	m.mode, m.pending = topBrowse, nil
	if key.String() != "y" && key.String() != "Y" {
		m.said = topDone{text: "nothing was done"}
		return nil
	}
	m.doing++
	m.said = topDone{text: order.doing()}
	return func() tea.Msg { return m.source.act(order) }
}

// act does what was asked for. What the supervisor has begun goes on when top is left.
func (s *livingRuns) act(o topOrder) topDone {
	ctx, cancel := context.WithTimeout(s.ctx, topActTime)
	defer cancel()
	text, err := s.carryOut(ctx, o)
	if err == nil {
		return topDone{text: text}
	}
	_, hint := judge(err)
	text = "error: " + oneLine(err.Error())
	if hint != "" {
		text += "\n" + newStyles(s.env.Out).next(oneLine(hint))
	}
	return topDone{text, true}
}

func (s *livingRuns) carryOut(ctx context.Context, o topOrder) (string, error) {
	client, found, err := dialRun(o.found.RunID)
	if err != nil {
		return "", err
	}
	defer client.Close()
	if !sameLife(found, o.found) {
		return "", failf(exitAmbiguous, "look again, and ask again", "cannot touch run %q: it is another one than the one that was shown", o.found.RunID)
	}
	if _, err := reach(ctx, client, found, "reach"); err != nil {
		return "", err
	}
	switch o.what {
	case topRestart:
		return s.restart(ctx, client, o.worker)
	case topStopWorker:
		return s.stopWorker(ctx, client, o)
	}
	return s.stopRun(ctx, client, found)
}

func (s *livingRuns) restart(ctx context.Context, client *control.Client, worker string) (text string, err error) {
	cut := client.Restart(ctx, control.Restart{Workers: []string{worker}}, func(r pool.Restarted) {
		text, err = restartedLine(newStyles(s.env.Out), r), r.Err
	})
	if err := errors.Join(err, cut); err != nil {
		return "", fmt.Errorf("cannot restart %s: %w", worker, err)
	}
	return text, nil
}

func (s *livingRuns) stopWorker(ctx context.Context, client *control.Client, o topOrder) (string, error) {
	var lines, problems []string
	err := client.StopWorkers(ctx, []string{o.worker}, 0, false, func(w *controlpb.WorkerStopped) {
		lines = append(lines, stoppedLine(newStyles(s.env.Out), w.Id, int(w.Pid), w.Exit, w.Signal, w.Took.AsDuration()))
		for _, survivor := range w.Survivors {
			problems = append(problems, survivorText(survivor))
		}
		if w.Error != "" {
			problems = append(problems, w.Error)
		}
	})
	if err != nil {
		return "", fmt.Errorf("cannot stop %s: %w", o.worker, err)
	}
	if len(problems) > 0 {
		return "", failf(exitFailed, lookAtWhatIsLeft, "%s stopped, but not cleanly: %s", o.worker, strings.Join(problems, "; "))
	}
	return strings.Join(lines, "\n"), nil
}

func (s *livingRuns) stopRun(ctx context.Context, client *control.Client, found rundir.Found) (string, error) {
	summary, err := client.Stop(ctx, 0, false, func(*controlpb.WorkerStopped) {})
	if err != nil {
		return "", unreached(found, "stop", err)
	}
	if problems := problemsOf(summary); len(problems) > 0 {
		return "", failf(exitFailed, lookAtWhatIsLeft, "run %q stopped, but not cleanly: %s", found.RunID, strings.Join(problems, "; "))
	}
	return fmt.Sprintf("%s  run %s stopped. %s", newStyles(s.env.Out).state("stopped"), found.RunID, lastWord(summary.GetGuard())), nil
}
