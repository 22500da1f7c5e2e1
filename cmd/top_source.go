package cmd

import (
	"context"
	"path/filepath"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// topSource is what top knows the world by. Its methods may take their time: they
// never run where the screen is drawn.
type topSource interface {
	find() topFound
	ask(rundir.Found) topAnswer
	act(topOrder) topDone
	follow(ctx context.Context, of topPaneOf) <-chan topNews
}

type (
	// topFound are the runs there are.
	topFound struct {
		at       time.Time
		found    []rundir.Found
		warnings []string
		err      error
	}
	// topAnswer is what a run's supervisor says of itself, if it says anything.
	topAnswer struct {
		id     string
		status *runStatus
	}
)

// livingRuns asks the files and the supervisors of this machine.
type livingRuns struct {
	ctx   context.Context // of top as a whole
	end   context.CancelFunc
	env   *Env
	runID string
	list  *listOptions
}

// topPatience is how long a supervisor may take to answer before it is shown as
// one that does not.
const topPatience = 2 * time.Second

func newTopSource(ctx context.Context, env *Env, runID string) *livingRuns {
	ctx, end := context.WithCancel(ctx)
	return &livingRuns{ctx: ctx, end: end, env: env, runID: runID, list: &listOptions{env: env, patience: topPatience}}
}

// close ends what still waits.
func (s *livingRuns) close() { s.end() }

func (s *livingRuns) find() topFound {
	found, problems, err := rundir.List(stateRoot())
	f := topFound{at: s.env.Now(), err: err}
	for _, problem := range problems {
		f.warnings = append(f.warnings, problem.String())
	}
	for _, run := range found {
		if s.runID == "" || run.RunID == s.runID {
			f.found = append(f.found, run)
		}
	}
	return f
}

func (s *livingRuns) ask(f rundir.Found) topAnswer {
	return topAnswer{f.RunID, s.list.ask(s.ctx, f)}
}

// follow sends what a worker prints, or what happens to it, until the run has ended
// or the context.
func (s *livingRuns) follow(ctx context.Context, of topPaneOf) <-chan topNews {
	news := make(chan topNews)
	send := func(n topNews) error {
		select {
		case news <- n:
		case <-ctx.Done():
		}
		return nil
	}
	go func() {
		defer close(news)
		if err := s.followWorker(ctx, of, send); err != nil {
			_ = send(topNews{err: err}) // it has nothing else to say
		}
	}()
	return news
}

func (s *livingRuns) followWorker(ctx context.Context, of topPaneOf, send func(topNews) error) error {
	if of.what == topEvents {
		reader := &eventReader{tail: tail{path: rundir.EventsPath(of.found.Dir)}, workers: []string{of.worker}}
		defer reader.close()
		return followRun(ctx, s.env, of.found, of.found.Dir, reader, topPaneLines, func(events []eventLine) error {
			return send(topNews{events: events})
		})
	}
	logs := &logFollower{logFolder: logFolder{dir: of.found.Dir, chosen: []string{of.worker}}, tails: map[string]*tail{}}
	defer logs.close()
	dir := filepath.Dir(rundir.LogPath(of.found.Dir, "any"))
	return followRun(ctx, s.env, of.found, dir, logs, topPaneLines, func(lines []logLine) error {
		return send(topNews{lines: lines})
	})
}
