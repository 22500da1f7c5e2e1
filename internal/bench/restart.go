package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// How long a restart of one worker takes, by the program's own account, which is
// held against the whole process of the command.

func measureRestart(ctx context.Context, s *session, r *Result) error {
	var args []string
	if s.opts.Module != "" {
		args = append(args, s.opts.Module)
	}
	forker, err := s.runScript(ctx, "fork.py", args...)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	defer forker.kill()
	pid, port, err := forker.fork(ctx, 0)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	return s.restarts(ctx, r, methodForkserver, func(ctx context.Context) error {
		if err := forker.end(pid); err != nil {
			return err
		}
		pid, _, err = forker.fork(ctx, port)
		return err
	})
}

func measureRestartSpawn(ctx context.Context, s *session, r *Result) error {
	server, err := s.startServer(ctx, 0, s.opts.Module)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	defer func() {
		if server != nil {
			server.kill()
		}
	}()
	port := server.port
	return s.restarts(ctx, r, methodSpawn, func(ctx context.Context) error {
		if err := server.stop(); err != nil {
			return err
		}
		server, err = s.startServer(ctx, port, s.opts.Module)
		return err
	})
}

// restarts restarts the only worker of a run, in turn with the floor's.
func (s *session) restarts(ctx context.Context, r *Result, method string, floor func(context.Context) error) error {
	run, _, err := s.start(ctx, 1, method)
	if err != nil {
		return err
	}
	var commands, stops, releases, starts []float64
	restarts, waits := 0, method == methodForkserver
	err = s.pairs(ctx, r, func(ctx context.Context) (float64, error) {
		if waits && !run.standsBy(ctx, restarts+1) {
			waits = false // the settings may want none
			r.note("from restart %d on, nobody was waited for who stands by: none came within %v", restarts+1, standsByWithin)
		}
		restarts++
		took, whole, of, err := run.restart(ctx)
		commands = append(commands, whole)
		stops, releases, starts = append(stops, of.StopMS), append(releases, of.ReleaseMS), append(starts, of.StartMS)
		return took, err
	}, func(ctx context.Context) (float64, error) {
		return stopwatch(func() error { return floor(ctx) })
	})
	if err != nil {
		return err
	}
	r.note("medians: ended %s, known free %s, ready again %s",
		Amount(median(stops), "ms"), Amount(median(releases), "ms"), Amount(median(starts), "ms"))
	r.note("the whole command takes %s (median)", Amount(median(commands), "ms"))
	_, err = run.stop(ctx)
	return err
}

// standsByWithin is how long a run gets until the next worker stands by.
const standsByWithin = 5 * time.Second

// standsBy waits until so many workers have come to stand by in the life of the run: a
// restart is measured of a run at rest, not of one that is just getting over the last.
func (r *run) standsBy(ctx context.Context, workers int) bool {
	path := filepath.Join(r.session.dir, "s", "snakepit", "runs", r.id, "events.jsonl")
	for deadline := time.Now().Add(standsByWithin); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Count(text, []byte(`"standby_ready"`)) >= workers {
			return true
		}
	}
	return false
}

// phases are those of a restart, in milliseconds.
type phases struct {
	StopMS    float64 `json:"stop_ms"`
	ReleaseMS float64 `json:"release_ms"`
	StartMS   float64 `json:"start_ms"`
}

// restart restarts the run's first worker.
func (r *run) restart(ctx context.Context) (took, whole float64, of phases, err error) {
	before := &r.workers[0]
	out, whole, err := r.session.snakepit(ctx, "restart", before.ID, "--run-id", r.id, "-o", "json")
	if err != nil {
		return 0, 0, of, err
	}
	var document struct {
		Restarted []struct {
			OldPID int `json:"old_pid"`
			NewPID int `json:"new_pid"`
			Port   int `json:"port"`
			phases
			TotalMS float64 `json:"total_ms"`
		} `json:"restarted"`
	}
	if err := json.Unmarshal([]byte(out), &document); err != nil || len(document.Restarted) != 1 {
		return 0, 0, of, fmt.Errorf("cannot read what restart prints: %s", out)
	}
	after := document.Restarted[0]
	switch {
	case after.OldPID != before.PID || after.NewPID == before.PID || after.Port != before.Port:
		return 0, 0, of, fmt.Errorf("PID %d on port %d became %+v", before.PID, before.Port, after)
	case after.TotalMS > whole:
		return 0, 0, of, fmt.Errorf("it says that it took %.1f ms, and the command was over after %.1f ms", after.TotalMS, whole)
	}
	if err := healthy(ctx, after.Port); err != nil {
		return 0, 0, of, fmt.Errorf("the new worker does not answer: %w", err)
	}
	before.PID = after.NewPID
	return after.TotalMS, whole, after.phases, nil
}
