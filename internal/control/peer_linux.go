package control

import "golang.org/x/sys/unix"

// peerUID is the user id of the process that connected (unix(7), SO_PEERCRED).
func peerUID(fd int) (int, error) {
	credentials, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(credentials.Uid), nil
}
