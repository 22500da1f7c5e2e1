package supervisor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// becomeSubreaper has the kernel give us the orphaned descendants of workers
// (prctl(2), PR_SET_CHILD_SUBREAPER): they stay in our tree, and we reap them.
func becomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot become the reaper of the workers' children: %w", err)
	}
	return nil
}
