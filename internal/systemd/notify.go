// Package systemd tells the service manager that has started this program how it
// is, by the protocol of sd_notify(3). It knows nothing of runs, and does nothing
// where no service manager has asked.
//
// The variables by which it asks are taken out of the environment, first of all:
// a worker that inherited them could speak for the service, and a guard, a pip, or
// a snakepit that a tool calls would. The library of systemd reads them again at
// every call, so it needs them to stay.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What is said to the service manager, beside Status and Extend.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// The variables by which a service manager asks.
const (
	socketVariable = "NOTIFY_SOCKET"
	usecVariable   = "WATCHDOG_USEC"
	pidVariable    = "WATCHDOG_PID"
)

// Manager is the service manager. A nil one has asked for nothing; all methods
// allow it.
type Manager struct {
	address  *net.UnixAddr
	watchdog time.Duration
}

// Take reads what the service manager wants out of the environment of this
// process, and removes it there. It returns nil when there is none.
func Take() *Manager {
	socket, usec, pid := take(socketVariable), take(usecVariable), take(pidVariable)
	// A path, or an abstract name. Others are not for services.
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return nil
	}
	m := &Manager{address: &net.UnixAddr{Name: socket, Net: "unixgram"}} // net knows what @ means
	if pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if n, err := strconv.ParseInt(usec, 10, 64); err == nil && n > 0 && n < int64(1<<63-1)/int64(time.Microsecond) {
			m.watchdog = time.Duration(n) * time.Microsecond
		}
	}
	return m
}

func take(name string) string {
	value := os.Getenv(name)
	_ = os.Unsetenv(name) // fails only for a name that cannot be one
	return value
}

// Watchdog is after which time without Alive the service is taken for hung; 0 when
// nobody watches.
func (m *Manager) Watchdog() time.Duration {
	if m == nil {
		return 0
	}
	return m.watchdog
}

// sendTime is how long a service manager may leave its socket full: who speaks has
// other things to do.
const sendTime = time.Second

// Notify says these things together.
func (m *Manager) Notify(what ...string) (err error) {
	if m == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, m.address)
	if err != nil {
		return fmt.Errorf("cannot tell the service manager: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return fmt.Errorf("cannot tell the service manager: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(what, "\n"))); err != nil {
		return fmt.Errorf("cannot tell the service manager: %w", err)
	}
	return nil
}

// Status is one line for people.
func Status(format string, args ...any) string {
	return "STATUS=" + strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
}

// Extend asks for at least this much time from now on, for a start or a stop.
func Extend(by time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", by.Microseconds())
}
