package procscan

import (
	"context"
	"errors"
	"fmt"
)

// Children returns the living children of the process with this PID: those that
// it has started, and, if it takes what others leave, those that it was given.
// Those for whose PID except returns true are left out unread; it may be nil.
//
// It costs a fraction of a Scan. While children come and go one may be missed,
// so that only a list that does not change tells of all.
func Children(ctx context.Context, pid int, except func(pid int) bool) ([]ID, error) {
	boot, err := thisBoot()
	if err != nil {
		return nil, fmt.Errorf("cannot list the children of process %d: %w", pid, err)
	}
	candidates, err := childrenOf(ctx, pid)
	if err != nil {
		return nil, fmt.Errorf("cannot list the children of process %d: %w", pid, err)
	}
	var children []ID
	for _, child := range candidates {
		if except != nil && except(int(child)) {
			continue
		}
		st, err := readStat(int(child))
		switch {
		case errors.Is(err, ErrGone):
		case err != nil:
			return children, fmt.Errorf("cannot read process %d: %w", child, err)
		case st.ppid == pid && !st.state.IsDead():
			children = append(children, ID{PID: int(child), Start: st.start, Boot: boot})
		}
	}
	return children, nil
}

// childrenOf are those that may be children: everybody where the kernel does not
// tell.
func childrenOf(ctx context.Context, pid int) ([]int32, error) {
	if children, ok := readChildren(pid); ok {
		return children, nil
	}
	return listPIDs(ownProc(ctx))
}
