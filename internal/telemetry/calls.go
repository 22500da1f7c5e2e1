package telemetry

import (
	"context"
	"errors"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// The results of calls.
const (
	resultOK        = "ok"
	resultToolError = "tool_error"  // the tool failed
	resultDied      = "worker_died" // while it ran the call
	resultTimeout   = "timeout"
	resultCancelled = "cancelled" // by the caller
	resultRefused   = "refused"   // no worker could take it
	resultError     = "error"     // anything else
)

func callResults() []string {
	return []string{resultOK, resultToolError, resultDied, resultTimeout, resultCancelled, resultRefused, resultError}
}

// ObserveCall implements pool.CallObserver.
func (m *Metrics) ObserveCall(c pool.Called) {
	m.calls.WithLabelValues(c.Pool, resultOf(c.Err)).Inc()
	m.callSeconds.WithLabelValues(c.Pool).Observe(c.Took.Seconds())
}

func resultOf(err error) string {
	var tool *pool.ToolError
	switch {
	case err == nil:
		return resultOK
	case errors.As(err, &tool):
		return resultToolError
	case errors.Is(err, pool.ErrWorkerDied):
		return resultDied
	case errors.Is(err, context.DeadlineExceeded):
		return resultTimeout
	case errors.Is(err, context.Canceled):
		return resultCancelled
	case errors.Is(err, pool.ErrNoWorker), errors.Is(err, pool.ErrNoneReady), errors.Is(err, pool.ErrStopping):
		return resultRefused
	}
	return resultError
}
