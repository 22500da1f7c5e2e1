package portcheck

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
)

// What may stand against binding an address; found in an *Error by errors.Is.
var (
	ErrInUse      = errors.New("address already in use")
	ErrPermission = errors.New("permission denied")
	// ErrBadAddress: a name that does not resolve, an address that is not one of
	// this machine, or a port that cannot be one.
	ErrBadAddress = errors.New("bad address")
)

// Error says why an address cannot be bound.
type Error struct {
	Host string
	Port int
	Kind error // one of the sentinels above; nil for any other reason
	Err  error // what the kernel or the resolver said, or the context
}

func (e *Error) Error() string {
	text := "cannot bind " + net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) + ": "
	switch {
	case e.Kind == nil:
		return text + e.Err.Error()
	case isErrno(e.Err):
		return text + e.Kind.Error()
	default:
		return text + e.Kind.Error() + " (" + e.Err.Error() + ")"
	}
}

// Unwrap makes both the kind and the cause visible to errors.Is.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

func isErrno(err error) bool {
	_, ok := err.(syscall.Errno)
	return ok
}

var (
	errPort     = errors.New("a port is a number from 1 to 65535")
	errNoHost   = errors.New("no host given")
	errNotLocal = errors.New("not an address of this machine")
)

// unresolved is what a failed look-up of the host comes to.
func unresolved(host string, port int, err error) *Error {
	e := &Error{Host: bare(host), Port: port, Kind: ErrBadAddress, Err: err}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e.Kind = nil // nothing is known of the name
	}
	return e
}

// refused turns what bind(2) or listen(2) said into an *Error.
func refused(host string, port int, err error) *Error {
	e := &Error{Host: host, Port: port, Err: err}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return e
	}
	e.Err = errno // without the address, which the text has already
	switch errno {
	case syscall.EADDRINUSE:
		e.Kind = ErrInUse
	case syscall.EACCES, syscall.EPERM:
		e.Kind = ErrPermission
	case syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EINVAL:
		e.Kind, e.Err = ErrBadAddress, errNotLocal
	}
	return e
}
