package chaos

import (
	"context"
	_ "embed" // the adapters
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

//go:embed adapters/chaos_adapters.py
var adapters []byte

// bring has the first run, and those after it, run an adapter of our own in place of
// the pool under test.
func bring(class string, flags ...string) step {
	return func(_ context.Context, s *stage) error {
		dir := s.adapterDir()
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("cannot bring an adapter: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "chaos_adapters.py"), adapters, 0o600); err != nil {
			return fmt.Errorf("cannot bring an adapter: %w", err)
		}
		r := s.first()
		r.brought = true
		r.flags = append([]string{"--adapter", "chaos_adapters:" + class, "--python-path", dir, "--workers", strconv.Itoa(s.opts.Pool.Workers)}, s.opts.Pool.Python...)
		r.flags = append(r.flags, flags...)
		return nil
	}
}

func (s *stage) adapterDir() string { return filepath.Join(s.dir, "a") }
