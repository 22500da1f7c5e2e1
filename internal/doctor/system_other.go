//go:build !linux

package doctor

import (
	"errors"

	"golang.org/x/sys/unix"
)

func tasks() (limit, bool, error) {
	return limit{}, false, errors.New("this system is not asked for its limit of processes")
}

func isReadOnly(s unix.Statfs_t) bool { return s.Flags&unix.MNT_RDONLY != 0 }
