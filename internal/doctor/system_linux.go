package doctor

import "golang.org/x/sys/unix"

// isReadOnly says that nothing can be written to the file system.
func isReadOnly(s unix.Statfs_t) bool { return s.Flags&unix.ST_RDONLY != 0 }
