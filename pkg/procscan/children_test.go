package procscan

import (
	"context"
	"os"
	"slices"
	"testing"
)

// The children of this process: the one that runs, whichever thread has started
// it; not one that has ended, nor a grandchild, nor who is not asked for.
func TestChildren(t *testing.T) {
	run := newRun()
	mine := start(t, "sleep", worker(run))
	ended := start(t, "sleep", worker(run))
	skipped := start(t, "sleep", worker(run))
	End(context.Background(), []Target{{ID: ended.id, TrustIdentity: true}}, EndOptions{})
	for name, list := range map[string]func() ([]ID, error){
		"as the kernel tells": func() ([]ID, error) {
			return Children(t.Context(), os.Getpid(), func(pid int) bool { return pid == skipped.id.PID })
		},
		"of another process": func() ([]ID, error) { return Children(t.Context(), os.Getppid(), nil) },
		"of nobody":          func() ([]ID, error) { return Children(t.Context(), ended.id.PID, nil) },
	} {
		children, err := list()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := slices.Contains(children, mine.id); got != (name == "as the kernel tells") {
			t.Errorf("%s: %v; is PID %d among them?", name, children, mine.id.PID)
		}
		if slices.Contains(children, ended.id) || slices.Contains(children, skipped.id) {
			t.Errorf("%s: %v; not to be there: PID %d and %d", name, children, ended.id.PID, skipped.id.PID)
		}
	}
}
