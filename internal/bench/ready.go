package bench

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// From the command to the last worker that is ready.

func measureReady(ctx context.Context, s *session, r *Result) error {
	return s.ready(ctx, r, s.opts.Flags, s.opts.Module)
}

func measureReadyImports(ctx context.Context, s *session, r *Result) error {
	flags := []string{"--adapter", "bench_slow:Slow", "--python-path", s.scripts, "--preload"}
	return s.ready(ctx, r, flags, "bench_slow_floor")
}

func (s *session) ready(ctx context.Context, r *Result, flags []string, module string) error {
	return s.pairs(ctx, r, func(ctx context.Context) (float64, error) {
		run, took, err := s.startAs(ctx, r.Count, methodForkserver, flags)
		if err != nil {
			return 0, err
		}
		_, err = run.stop(ctx)
		return took, err
	}, func(ctx context.Context) (float64, error) {
		return s.plainServers(ctx, r.Count, module)
	})
}

// plainServers starts servers together, and says how long it took until the last one
// answered.
func (s *session) plainServers(ctx context.Context, n int, module string) (float64, error) {
	servers := make([]*script, n)
	took, err := stopwatch(func() error {
		group, ctx := errgroup.WithContext(ctx)
		for i := range n {
			group.Go(func() (err error) {
				servers[i], err = s.startServer(ctx, 0, module)
				return err
			})
		}
		return group.Wait()
	})
	for _, server := range servers {
		if server != nil {
			server.kill()
		}
	}
	return took, err
}

func measureMany(ctx context.Context, s *session, r *Result) error {
	if err := s.fit(ctx, r); err != nil {
		return err
	}
	return s.pairs(ctx, r, func(ctx context.Context) (float64, error) {
		run, took, err := s.start(ctx, r.Count, methodForkserver)
		if err != nil {
			return 0, err
		}
		_, err = run.stop(ctx)
		return took, err
	}, func(ctx context.Context) (float64, error) {
		return s.forkedServers(ctx, r.Count)
	})
}

// forkedServers has one process fork servers, from its own start on.
func (s *session) forkedServers(ctx context.Context, n int) (float64, error) {
	var forker *script
	took, err := stopwatch(func() (err error) {
		var args []string
		if s.opts.Module != "" {
			args = append(args, s.opts.Module)
		}
		if forker, err = s.runScript(ctx, "fork.py", args...); err != nil {
			return err
		}
		for range n {
			if _, err := fmt.Fprintln(forker.in, "start 0"); err != nil {
				return err
			}
		}
		group, ctx := errgroup.WithContext(ctx)
		for range n {
			_, _, port, err := forker.hear()
			if err != nil {
				return err
			}
			group.Go(func() error { return healthy(ctx, port) })
		}
		return group.Wait()
	})
	if forker != nil {
		forker.kill()
	}
	return took, err
}
