//go:build unix

package pool

import "syscall"

// openFiles is the limit of this process's descriptors. The Go runtime has raised it as
// far as it may be, and gives workers what it was before.
func openFiles() []limit {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return nil
	}
	return []limit{{
		what: "open files", allowed: uint64(now.Cur), fixed: fixedDescriptors, own: true,
		worker: workerDescriptors, foreign: workerDescriptors,
		raise: "raise the hard limit: LimitNOFILE=%d in a systemd unit, nofile in /etc/security/limits.conf, or as root: prlimit --pid $$ --nofile=%d",
	}}
}
