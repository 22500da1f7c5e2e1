package cmd

import (
	"errors"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/supervisor"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// TestNotStarted: no more is claimed of a start that failed than was seen.
func TestNotStarted(t *testing.T) {
	failed := &pool.StartError{Pool: "p", Workers: 2, Failures: []pool.Failure{{Worker: "p-0", Kind: "exit", Reason: "exit 3"}}}
	survivor := control.StopSummary{Survivors: []pool.Survivor{{PID: 7, What: "python"}}, Errors: []string{"no scan"}}
	notKilled := control.StopSummary{Guard: &control.Cleanup{Survivors: []int{8}}}
	for name, c := range map[string]struct {
		outcome supervisor.Outcome
		err     error
		want    string
		hint    string
	}{
		"interrupted":         {supervisor.Outcome{Looked: true}, nil, "interrupted before every worker was ready; everything was stopped", ""},
		"interrupted, unseen": {supervisor.Outcome{}, nil, "interrupted before every worker was ready; nobody has looked for what it left", ""},
		"interrupted, one is left": {
			supervisor.Outcome{Looked: true, Summary: survivor},
			nil,
			"interrupted before every worker was ready; not everything was stopped: survivor: PID 7: python; no scan", lookAtWhatIsLeft,
		},
		"failed": {supervisor.Outcome{Looked: true}, failed, "cannot start pool \"p\": 1 of its 2 workers failed; everything was stopped\n  p-0: exit 3", startHint(failed)},
		"failed, one is left": {
			supervisor.Outcome{Looked: true, Summary: notKilled},
			failed,
			"cannot start pool \"p\": 1 of its 2 workers failed; not everything was stopped: survivor: PID 8: the guard has not ended it\n  p-0: exit 3", lookAtWhatIsLeft,
		},
		"refused":                {supervisor.Outcome{}, errors.New("cannot start"), "cannot start", ""},
		"the disk, one is left":  {supervisor.Outcome{Ready: true, Looked: true, Summary: notKilled}, errors.New("full"), "full; not everything was stopped: survivor: PID 8: the guard has not ended it", lookAtWhatIsLeft},
		"a run that was running": {supervisor.Outcome{Ready: true, Looked: true}, nil, "", ""},
	} {
		got := notStarted(c.outcome, c.err)
		if got == nil {
			got = errors.New("")
		}
		if _, hint := judge(got); got.Error() != c.want || hint != c.hint {
			t.Errorf("%s: %q, next: %q\nwant %q, next: %q", name, strings.TrimSpace(got.Error()), hint, c.want, c.hint)
		}
	}
}
