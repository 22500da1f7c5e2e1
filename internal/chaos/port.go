package chaos

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"
)

// bind takes a port as a gRPC server does, and keeps it: with SO_REUSEADDR, which
// package net sets for every listener, and without SO_REUSEPORT.
func bind(host string, port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("cannot bind port %d: %w", port, err)
	}
	return listener, nil
}

// free says whether the port can be bound now.
func free(host string, port int) error {
	listener, err := bind(host, port)
	if err != nil {
		return err
	}
	return listener.Close()
}

func isInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// answers says whether somebody takes connections there.
func answers(host string, port int) error {
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}
