package orphans

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// UserName is the name of a user, or the number where it has none.
func UserName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// TheirsError says that a process is another user's, and that ours may not
// signal it. It is an fs.ErrPermission.
type TheirsError struct{ PID, UID int }

func (e *TheirsError) Error() string {
	return fmt.Sprintf("cannot end PID %d: it belongs to user %s", e.PID, UserName(e.UID))
}

// Is tells what kind of error it is.
func (e *TheirsError) Is(target error) bool { return target == fs.ErrPermission }

// ownerOf is the user id that a run's directory belongs to.
func ownerOf(dir string) int {
	info, err := os.Stat(dir)
	if err != nil {
		return os.Getuid()
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return os.Getuid()
}
