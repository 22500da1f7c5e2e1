package control

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
)

// peerCredentials learns from the kernel who is at the other end of a Unix
// socket. It refuses nobody itself: a refusal in words comes from the server.
type peerCredentials struct{}

// peerInfo is the user at the other end.
type peerInfo struct {
	credentials.CommonAuthInfo
	uid int
}

func (peerInfo) AuthType() string { return "unix-peer" }

func (peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, errors.New("cannot read peer credentials: not a Unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read peer credentials: %w", err)
	}
	info := peerInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	var failed error
	err = raw.Control(func(fd uintptr) { info.uid, failed = peerUID(int(fd)) })
	if err := errors.Join(err, failed); err != nil {
		return nil, nil, fmt.Errorf("cannot read peer credentials: %w", err)
	}
	return conn, info, nil
}

func (peerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("peer credentials are the server's side only")
}

func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "unix-peer"}
}

func (c peerCredentials) Clone() credentials.TransportCredentials { return c }
func (peerCredentials) OverrideServerName(string) error           { return nil }
