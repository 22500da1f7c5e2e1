package pool

import (
	"fmt"
	"regexp"
	"strings"
)

// ReadyWhen is how it is known that a worker serves. The zero value is the worker
// package's own protocol; everything else is for foreign programs, which know
// nothing of this package.
type ReadyWhen struct {
	By   ReadyBy
	Line *regexp.Regexp // for ReadyLog: what a line of output must match
}

// ReadyBy is a way in which a worker becomes ready.
type ReadyBy int

// The ways in which a worker becomes ready.
const (
	// ReadyChannel: it says so on its ready channel.
	ReadyChannel ReadyBy = iota
	// ReadyHealth: the health service on its port (grpc.health.v1) answers SERVING.
	ReadyHealth
	// ReadyTCP: its port takes a connection.
	ReadyTCP
	// ReadyLog: a whole line of its output matches ReadyWhen.Line.
	ReadyLog
)

// ParseReady reads "health", "tcp" or "log:REGEX". The expression is one of
// regexp/syntax and may match any part of a line.
func ParseReady(text string) (ReadyWhen, error) {
	expression, isLog := strings.CutPrefix(text, "log:")
	switch {
	case text == "health":
		return ReadyWhen{By: ReadyHealth}, nil
	case text == "tcp":
		return ReadyWhen{By: ReadyTCP}, nil
	case isLog && expression != "":
		line, err := regexp.Compile(expression)
		if err != nil {
			return ReadyWhen{}, fmt.Errorf("cannot use %q to know that a worker is ready: %w", text, err)
		}
		return ReadyWhen{By: ReadyLog, Line: line}, nil
	}
	return ReadyWhen{}, fmt.Errorf("cannot use %q to know that a worker is ready: it takes health, tcp or log:REGEX", text)
}

// String is what ParseReady reads, and "channel" for the zero value.
func (r ReadyWhen) String() string {
	switch r.By {
	case ReadyHealth:
		return "health"
	case ReadyTCP:
		return "tcp"
	case ReadyLog:
		return "log:" + r.Line.String()
	}
	return "channel"
}

// foreign says that the program does not speak the worker package's protocol.
func (r ReadyWhen) foreign() bool { return r.By != ReadyChannel }
