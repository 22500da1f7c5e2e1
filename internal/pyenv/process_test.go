package pyenv

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds waits that never end when all is broken.
const patience = 2 * time.Minute

// A process is the test binary as a resolver.
type process struct {
	cmd    *exec.Cmd
	output *bufio.Scanner
	lines  []string
}

func startResolver(t *testing.T, cache, path string) *process {
	t.Helper()
	options, err := json.Marshal(resolverOptions{CacheDir: cache, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), resolverVar+"="+string(options))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	t.Cleanup(func() { timer.Stop(); cmd.Process.Kill(); cmd.Wait() })
	return &process{cmd: cmd, output: bufio.NewScanner(stdout)}
}

// until reads lines to the first with the prefix, and returns its rest.
func (p *process) until(t *testing.T, prefix string) string {
	t.Helper()
	for p.output.Scan() {
		p.lines = append(p.lines, p.output.Text())
		if rest, ok := strings.CutPrefix(p.output.Text(), prefix); ok {
			return rest
		}
	}
	t.Fatalf("the resolver ended without %q:\n%s", prefix, strings.Join(p.lines, "\n"))
	return ""
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Errorf("kill the resolver: %v", err)
	}
	p.cmd.Wait()
}

func makeFIFO(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// openFIFO waits until a writer says "started". A result that comes before is
// fatal.
func openFIFO(t *testing.T, path string, result <-chan error) *os.File {
	t.Helper()
	// Opened for writing too, the FIFO opens at once and a read can time out.
	// It is then opened again for reading alone, so that it can end.
	first, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(first, make([]byte, len("started\n")))
		started <- err
	}()
	select {
	case err := <-started:
		if err != nil {
			t.Fatal(err)
		}
	case err := <-result:
		t.Fatalf("ended before its installer started: %v", err)
	case <-time.After(patience):
		t.Fatal("the installer did not start")
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	t.Cleanup(func() { reader.Close() })
	return reader
}

// waitEOF returns when no process holds the FIFO open for writing.
func waitEOF(t *testing.T, reader *os.File) {
	t.Helper()
	if err := reader.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		t.Fatalf("something of the installer lives on: %v", err)
	}
}

// environments lists what is in the cache beside markers and locks.
func environments(t *testing.T, cache string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(cache, "python", "*", "env-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
