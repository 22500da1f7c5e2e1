package chaos

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const canMount = true

// mountSmall gives the stage a state directory of 4 MiB.
func mountSmall(_ context.Context, s *stage) error {
	if err := unix.Mount("tmpfs", s.stateHome(), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=4m,mode=0700"); err != nil {
		return &skip{fmt.Sprintf("a small file system cannot be mounted: %v", err)}
	}
	s.undo = append(s.undo, func() error { return unmount(s.stateHome()) })
	return nil
}

// mountOver makes the state directory read-only for root, too: a second, read-only
// mount of it lies over the first. Files that are open stay as they are.
func (s *stage) mountOver() error {
	home := s.stateHome()
	if err := unix.Mount(home, home, "", unix.MS_BIND, ""); err != nil {
		return &skip{fmt.Sprintf("a directory cannot be mounted read-only: %v", err)}
	}
	s.undo = append(s.undo, s.unmountOver)
	return unix.Mount("", home, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// unmountOver tolerates that it was done.
func (s *stage) unmountOver() error {
	if err := unmount(s.stateHome()); err != nil && !errors.Is(err, unix.EINVAL) { // umount(2): it is no mount point
		return err
	}
	return nil
}

// unmountAll takes away whatever lies over a directory.
func unmountAll(path string) {
	for unix.Unmount(path, unix.MNT_DETACH) == nil { // until it is no mount point
	}
}

// unmount does not wait for those who still have a file open there.
func unmount(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot unmount %s: %w", path, err)
	}
	return nil
}
