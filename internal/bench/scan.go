package bench

import (
	"context"
	"os/exec"
	"strconv"
)

// How long a look at the whole machine takes.

// rival is what is asked for on a machine without us. It is measured, and nothing
// else is done with what it says.
const rival = "pgrep"

func measureOrphans(ctx context.Context, s *session, r *Result) error {
	path, err := exec.LookPath(rival)
	if err != nil {
		return &skip{"there is no " + rival + " to compare with"}
	}
	crowd, err := s.runScript(ctx, "crowd.py", strconv.Itoa(r.Count))
	if err != nil {
		return err
	}
	defer crowd.kill()
	return s.pairs(ctx, r, func(ctx context.Context) (float64, error) {
		_, took, err := s.snakepit(ctx, "orphans", "--run-id", s.newID())
		return took, err
	}, func(ctx context.Context) (float64, error) {
		// A bracket, so that it does not find itself; exit code 1 is "nobody".
		_, took, err := timed(exec.CommandContext(ctx, path, "-f", "--", "--snakepit-run-id nobody[-]has-this"), 1)
		return took, err
	})
}
