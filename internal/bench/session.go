package bench

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// session is one use of the bench: a private place, and what runs in it.
type session struct {
	opts    Options
	dir     string
	scripts string       // the floor's
	runs    []*run       // that live
	floors  []*script    // that live
	mark    string       // in the environment of all our processes
	dismiss func() error // who cleans up if this process is killed
	shared  *run         // of the rows about 100 workers, while they are measured
}

//go:embed floor/*.py
var floor embed.FS

func newSession(o Options) (*session, error) {
	// A short name: the path of a socket is limited.
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, fmt.Errorf("cannot make a private place: %w", err)
	}
	s := &session{opts: o, dir: dir, scripts: filepath.Join(dir, "f")}
	for _, sub := range []string{"s", "r", "f"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, sub), 0o700))
	}
	scripts, listed := floor.ReadDir("floor")
	err = errors.Join(err, listed)
	for _, script := range scripts {
		text, read := floor.ReadFile("floor/" + script.Name())
		err = errors.Join(err, read, os.WriteFile(filepath.Join(s.scripts, script.Name()), text, 0o600))
	}
	if o.Profile != "" {
		err = errors.Join(err, os.MkdirAll(o.Profile, 0o755))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make a private place: %w", err), os.RemoveAll(dir))
	}
	if o.Keep != nil {
		if s.mark, s.dismiss, err = o.Keep(dir); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return s, nil
}

// newID makes a run id that nobody else has.
func (s *session) newID() string {
	raw := make([]byte, 5)
	_, _ = rand.Read(raw) // it never fails (crypto/rand)
	return "bench-" + strings.ToLower(base32.StdEncoding.EncodeToString(raw))
}

// warm makes what is made once: the worker package, Python's compiled modules, and the
// pages of all of them in memory.
func (s *session) warm(ctx context.Context) error {
	for _, method := range []string{methodSpawn, s.method()} {
		r, _, err := s.start(ctx, 1, method)
		if err != nil {
			return err
		}
		if _, err := r.stop(ctx); err != nil {
			return err
		}
	}
	server, err := s.startServer(ctx, 0, s.opts.Module)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	return server.stop()
}

// lacks says why a row cannot be measured here; empty: it can.
func (s *session) lacks(n need) string {
	switch {
	case runtime.GOOS == "linux":
		return ""
	case n.linux:
		return "only Linux tells"
	case n.forkserver:
		return "workers can be forked on Linux only"
	}
	return ""
}

// close ends what is left of the session, whatever has become of its context.
func (s *session) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := s.endAll(ctx); err != nil {
		return fmt.Errorf("cannot clean up %s: %w", s.dir, err)
	}
	if s.dismiss != nil {
		if err := s.dismiss(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("cannot remove the private place: %w", err)
	}
	return nil
}

// endAll ends what runs.
func (s *session) endAll(ctx context.Context) (err error) {
	for _, r := range slices.Clone(s.runs) {
		err = errors.Join(err, r.end(ctx))
	}
	for _, f := range slices.Clone(s.floors) {
		f.kill()
	}
	s.shared = nil
	return err
}
