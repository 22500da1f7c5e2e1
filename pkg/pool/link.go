package pool

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// maxMessageToFork is the largest message on a link, in bytes.
const maxMessageToFork = 64 << 10

// link is our end of a socket to a process of ours. Each message is one JSON
// object, with descriptors beside it.
type link struct{ conn *net.UnixConn }

// newLink returns our end, and the other one for the process.
func newLink() (link, *os.File, error) {
	pair, err := seqpacket()
	if err != nil {
		return link{}, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "link"), os.NewFile(uintptr(pair[1]), "link")
	defer ours.Close() // FileConn makes a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return link{}, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	return link{conn.(*net.UnixConn)}, theirs, nil
}

func (l link) send(message any, files ...*os.File) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	var descriptors []int
	for _, file := range files {
		descriptors = append(descriptors, int(file.Fd()))
	}
	var rights []byte
	if len(descriptors) > 0 {
		rights = syscall.UnixRights(descriptors...)
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(forkPatience)); err != nil {
		return err
	}
	_, _, err = l.conn.WriteMsgUnix(text, rights, nil)
	return err
}

// receive reads one message, for as long as the context lives and no longer than
// patience (0: without limit).
func (l link) receive(ctx context.Context, patience time.Duration, message any) error {
	limit := time.Time{}
	if patience > 0 {
		limit = time.Now().Add(patience)
	}
	if err := l.conn.SetReadDeadline(limit); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.hurry(0) })
	defer stop()
	text := make([]byte, maxMessageToFork)
	n, err := l.conn.Read(text)
	if err != nil {
		return err
	}
	return json.Unmarshal(text[:n], message)
}

// hurry has a receive that is under way wait no longer than that.
func (l link) hurry(patience time.Duration) { _ = l.conn.SetReadDeadline(time.Now().Add(patience)) }

func (l link) close() error { return l.conn.Close() }
