package control

import "golang.org/x/sys/unix"

// peerUID is the user id of the process that connected (unix(4), LOCAL_PEERCRED).
func peerUID(fd int) (int, error) {
	credentials, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(credentials.Uid), nil
}
