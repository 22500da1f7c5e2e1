package telemetry

import (
	"context"
	"io"
	"log/slog"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// NewLogger makes a logger that keeps every event: as JSON, one object a line,
// or as text.
func NewLogger(w io.Writer, json bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	if json {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// Logged is the sink that writes events to a logger.
func Logged(logger *slog.Logger) Sink { return logged{logger} }

type logged struct{ logger *slog.Logger }

func (l logged) Receive(r Record) {
	l.logger.LogAttrs(context.Background(), levelOf(r), r.Event, attributesOf(r)...)
}

// levelOf is how loud an event is in a log for people.
func levelOf(r Record) slog.Level {
	switch {
	case r.Event == OrphansFound, r.Event == EmergencyKill, r.Event == GuardDied:
		return slog.LevelWarn
	case r.Event != WorkerState:
		return slog.LevelInfo
	}
	switch pool.State(r.To) {
	case pool.Failed:
		return slog.LevelError
	case pool.Backoff, pool.Blocked:
		return slog.LevelWarn
	case pool.Ready, pool.Stopped:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// attributesOf names what the event says, leaving out what it does not.
func attributesOf(r Record) []slog.Attr {
	attributes := []slog.Attr{}
	text := func(key, value string) {
		if value != "" {
			attributes = append(attributes, slog.String(key, value))
		}
	}
	number := func(key string, value int) {
		if value != 0 {
			attributes = append(attributes, slog.Int(key, value))
		}
	}
	text("run_id", r.RunID)
	text("pool", r.Pool)
	text("worker", r.Worker)
	text("from", r.From)
	text("state", r.To)
	number("incarnation", int(r.Incarnation))
	number("pid", r.PID)
	number("port", r.Port)
	text("reason", r.Reason)
	text("cause", r.Cause)
	text("source", r.Source)
	if r.Count != nil {
		attributes = append(attributes, slog.Int("count", *r.Count), slog.Any("pids", r.PIDs))
	}
	return attributes
}
