package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// restartTally is what is known of a restart: who was asked for, what became of
// them, and why no more is known.
type restartTally struct {
	asked   []string // ids
	ended   []pool.Restarted
	cut     error // nil when the supervisor has said all it had to say
	timeout time.Duration
}

// left tells a restart that was left by its client from one that was refused.
func (t *restartTally) left() bool {
	return errors.Is(t.cut, context.DeadlineExceeded) || errors.Is(t.cut, context.Canceled)
}

// unknown are the workers of which no word came.
func (t *restartTally) unknown() []string {
	return slices.DeleteFunc(slices.Clone(t.asked), func(id string) bool {
		return slices.ContainsFunc(t.ended, func(r pool.Restarted) bool { return r.Worker == id })
	})
}

// why there is no word of them.
func (t *restartTally) why() string {
	switch {
	case t.cut == nil:
		return "the supervisor says nothing of it"
	case errors.Is(t.cut, context.DeadlineExceeded):
		return fmt.Sprintf("not within %v", t.timeout)
	case errors.Is(t.cut, context.Canceled):
		return "interrupted"
	}
	return t.cut.Error()
}

// verdict is nil when every worker was restarted, and nothing else went wrong.
func (t *restartTally) verdict() error {
	var failures []pool.Failure
	var notTried []string
	for _, r := range t.ended {
		switch {
		case errors.Is(r.Err, pool.ErrNotTried):
			notTried = append(notTried, r.Worker)
		case r.Err != nil:
			failures = append(failures, failureOf(r))
		}
	}
	unknown := t.unknown()
	not := len(failures) + len(notTried) + len(unknown)
	switch {
	case not == 0 && (t.cut == nil || t.left()):
		return nil
	case not == 0:
		return fmt.Errorf("cannot restart: %w", t.cut)
	}
	var b strings.Builder
	switch {
	case len(t.asked) == 1 && len(failures) == 1:
		fmt.Fprintf(&b, "cannot restart %s: %s", failures[0].Worker, failures[0].Reason)
		listOutput(&b, failures[0])
	case len(t.asked) == 1 && len(unknown) == 1:
		fmt.Fprintf(&b, "cannot restart %s: %s", unknown[0], t.why())
	default:
		fmt.Fprintf(&b, "cannot restart %d of %d workers", not, len(t.asked))
		listFailures(&b, failures)
		listIDs(&b, "not tried", notTried)
		listIDs(&b, t.why(), unknown)
	}
	code, hint := t.judge()
	return failf(code, hint, "%s", b.String())
}

// judge lets what is worst decide: a new process that did not become ready, or
// whatever else a person has to mend; then the end of the waiting; then ports,
// whose workers come back by themselves.
func (t *restartTally) judge() (code int, hint string) {
	var mend, held, other error
	for _, r := range t.ended {
		var port *pool.CleanupTimeoutError
		switch {
		case r.Err == nil:
		case errors.As(r.Err, &port):
			held = cmp.Or(held, r.Err)
		case errors.Is(r.Err, pool.ErrNotTried):
			other = cmp.Or(other, r.Err)
		default:
			mend = cmp.Or(mend, r.Err)
		}
	}
	switch {
	case mend != nil:
		return judge(mend)
	case t.left() && len(t.unknown()) > 0:
		return judge(&cutShort{t.cut})
	case t.cut != nil && !t.left():
		return judge(t.cut)
	case held != nil:
		return judge(held)
	case other != nil:
		return judge(other)
	}
	return exitFailed, "see: snakepit list"
}

// cutShort is the end of a request that was left; what is under way goes on.
type cutShort struct{ err error }

func (c *cutShort) Error() string { return c.err.Error() }
func (c *cutShort) Unwrap() error { return c.err }

// failureOf is why a worker was not restarted, with what its process printed.
func failureOf(r pool.Restarted) pool.Failure {
	f := pool.Failure{}
	var notReady *pool.NotRestartedError
	if errors.As(r.Err, &notReady) {
		f = notReady.Failure
	}
	f.Worker, f.Reason = r.Worker, r.Err.Error()
	return f
}

// manyIDs is how many workers are named one by one.
const manyIDs = 10

// listIDs adds a line with the workers of which the same is to be said.
func listIDs(b *strings.Builder, what string, ids []string) {
	if len(ids) == 0 {
		return
	}
	more := ""
	if len(ids) > manyIDs {
		more = fmt.Sprintf(" and %d more", len(ids)-manyIDs)
		ids = ids[:manyIDs]
	}
	fmt.Fprintf(b, "\n  %s: %s%s", what, strings.Join(ids, ", "), more)
}
