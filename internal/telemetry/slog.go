package telemetry

import (
	"log/slog"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// levelOf is how loud an event is in a log for people.
func levelOf(r Record) slog.Level {
	switch {
	case r.Event == OrphansFound || r.Event == EmergencyKill:
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
	text("worker", r.Worker)
	text("state", r.To)
	number("pid", r.PID)
	number("port", r.Port)
	text("reason", r.Reason)
	if r.Count != nil {
		attributes = append(attributes, slog.Int("count", *r.Count), slog.Any("pids", r.PIDs))
	}
	return attributes
}
