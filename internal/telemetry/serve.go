package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// MetricsPath is where the metrics are served.
const MetricsPath = "/metrics"

// Server serves the metrics of one run over HTTP, to whoever can connect.
type Server struct {
	http *http.Server
	done chan struct{} // closed when nothing is served any more
}

// Serve answers on the listener until Close, which closes it. What goes wrong
// with single requests is logged.
func (m *Metrics) Serve(listener net.Listener, logger *slog.Logger) *Server {
	errorLog := slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.Handle("GET "+MetricsPath, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: errorLog, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 8,
	}))
	s := &Server{
		http: &http.Server{
			Handler: mux, ErrorLog: errorLog,
			// One that connects and then says nothing, or reads nothing, must not stay.
			ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Warn("cannot serve the metrics any more", "error", err)
		}
	}()
	return s
}

// Close lets a scrape under way finish for at most the given time.
func (s *Server) Close(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}
