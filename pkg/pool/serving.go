package pool

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

// How it is known that a foreign program serves.

// awaitServing is Readiness for a foreign program. It ends with the process, as a
// ready channel does.
func (c *child) awaitServing(ctx context.Context) (Readiness, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-c.done:
			cancel(errNoReadiness)
		case <-ctx.Done():
		}
	}()
	var err error
	if c.how.By == ReadyLog {
		err = c.awaitLine(ctx)
	} else {
		err = c.awaitListener(ctx)
	}
	if c.how.By == ReadyHealth && err == nil {
		err = c.awaitHealth(ctx)
	}
	switch {
	case err == nil:
		return Readiness{Protocol: readyProtocol, Ready: true, PID: c.id.PID, Port: c.spec.Port}, nil
	case ctx.Err() != nil:
		return Readiness{}, context.Cause(ctx)
	}
	return Readiness{}, err
}

// poll calls try until it returns true or an error. The pause grows from 5 to
// 100 ms. It polls for want of an event: no program that knows nothing of us says
// when it listens, and nothing in the kernel tells.
func poll(ctx context.Context, try func(context.Context) (bool, error)) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		done, err := try(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitListener returns nil once the port takes a connection and whoever answers
// there is of this worker.
func (c *child) awaitListener(ctx context.Context) error {
	unseen := 0
	return poll(ctx, func(ctx context.Context) (bool, error) {
		at, err := dial(ctx, c.spec.Host, c.spec.Port)
		if err != nil {
			unseen = 0
			c.note(err.Error())
			return false, nil
		}
		ours, stranger, err := c.answering(ctx, at)
		switch {
		case err != nil || ours:
			return ours, err
		case stranger != "":
			return false, &NotReadyError{
				Kind:    "port_in_use",
				Message: fmt.Sprintf("port %d is held by %s, which is no process of %s", c.spec.Port, stranger, c.spec.Worker),
				Hint:    "end that process, or choose other ports with --base-port",
			}
		case unseen == maxUnseen:
			return false, &NotReadyError{
				Kind:    "port_in_use",
				Message: fmt.Sprintf("port %d is held by %s", c.spec.Port, portcheck.Owner{}),
				Hint:    "if it is the worker's own, say --ready log:REGEX: then nobody asks whose the port is",
			}
		}
		unseen++
		return false, nil
	})
}

// maxUnseen is how often in a row a listener may be seen without its process: a
// third of a second. For an instant that is so of each that begins or ends while
// we look.
const maxUnseen = 7

// dial connects, lets go at once, and says where somebody answered.
func dial(ctx context.Context, host string, port int) (netip.AddrPort, error) {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer conn.Close()
	return netip.ParseAddrPort(conn.RemoteAddr().String())
}

// awaitHealth returns nil once the health service answers SERVING. A server
// without one will not get one by waiting.
func (c *child) awaitHealth(ctx context.Context) error {
	// A server that is not done yet is asked again soon.
	soon := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 200 * time.Millisecond}
	client, err := newBridge(c.spec.Host, c.spec.Port, grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon, MinConnectTimeout: 5 * time.Second}))
	if err != nil {
		return err
	}
	defer client.Close()
	return poll(ctx, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err := client.Healthy(ctx)
		switch {
		case err == nil:
			return true, nil
		case status.Code(err) == codes.Unimplemented:
			return false, &NotReadyError{
				Kind:    "no_health_service",
				Message: fmt.Sprintf("%s answers on port %d, but without grpc.health.v1.Health: %s", c.spec.Worker, c.spec.Port, status.Convert(err).Message()),
				Hint:    "add the health service to the server (grpcio-health-checking), or say --ready tcp",
			}
		}
		c.note(err.Error())
		return false, nil
	})
}

// awaitLine returns nil once a line has matched. When the output is at its end,
// none will; the end of the process, which usually comes with it, says more.
func (c *child) awaitLine(ctx context.Context) error {
	none := fmt.Sprintf("no line of its output matches %s", c.how.Line)
	c.note(none)
	select {
	case <-c.watch.found:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.printed:
	}
	select {
	case <-c.watch.found:
		return nil
	default:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
		return &NotReadyError{
			Kind:    "output_closed",
			Message: fmt.Sprintf("%s closed its output, and %s", c.spec.Worker, none),
			Hint:    "choose --ready health or --ready tcp, or a line that is printed before",
		}
	}
}

func (c *child) note(text string) { c.awaited.Store(&text) }

// Awaited says what stood against a foreign program's being ready when it was
// looked at last, and on which ports it listens instead; "" when nothing is known.
// It looks at every process of the machine: call it for an error's text.
func (c *child) Awaited(ctx context.Context) string {
	text := c.awaited.Load()
	if text == nil {
		return ""
	}
	others := c.ports(ctx)
	if len(others) == 0 || c.how.By == ReadyLog {
		return *text
	}
	return fmt.Sprintf("%s; it listens on %s", *text, strings.Trim(fmt.Sprint(others), "[]"))
}
