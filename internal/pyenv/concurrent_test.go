package pyenv

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
)

// A cancelled start kills what it started, down to the grandchildren. The
// fake's children hold a FIFO open: it ends when the last of them does.
func TestCancelKillsTheInstaller(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	fifo := makeFIFO(t)
	fake{pip: "exec 3>'" + fifo + "'; sleep 300 & echo started >&3; wait"}.install(t, bin, "python3")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := Resolve(ctx, Options{Path: bin, CacheDir: cache})
		result <- err
	}()
	reader := openFIFO(t, fifo, result)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve = %v, want %v", err, context.Canceled)
	}
	waitEOF(t, reader)
	if envs := environments(t, cache); len(envs) != 0 {
		t.Errorf("left behind: %v", envs)
	}
}

// The same, when there is no time to clean up.
func TestKilledResolverTakesItsInstallerAlong(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs the kernel's parent-death signal")
	}
	bin, cache := t.TempDir(), t.TempDir()
	fifo := makeFIFO(t)
	fake{pip: "exec 3>'" + fifo + "'; echo started >&3; exec sleep 300"}.install(t, bin, "python3")
	p := startResolver(t, cache, bin)
	reader := openFIFO(t, fifo, nil)
	p.kill(t)
	waitEOF(t, reader)

	fake{}.install(t, bin, "python3")
	if env, err := resolve(t, Options{Path: bin, CacheDir: cache}); err != nil || env.Source != SourceManaged {
		t.Errorf("the next start = %+v, %v", env, err)
	}
	if envs := environments(t, cache); len(envs) != 1 {
		t.Errorf("environments = %v, want one", envs)
	}
}

func TestTwoFirstStartsMakeOneEnvironment(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	fifo, gate := makeFIFO(t), makeFIFO(t)
	fake{pip: "exec 3>'" + fifo + "'; echo started >&3; read line < '" + gate + "'"}.install(t, bin, "python3")
	first := startResolver(t, cache, bin)
	openFIFO(t, fifo, nil)
	second := startResolver(t, cache, bin)
	second.until(t, "progress: waiting for another")
	if err := os.WriteFile(gate, []byte("go on\n"), 0); err != nil {
		t.Fatal(err)
	}
	python := first.until(t, "python: ")
	if other := second.until(t, "python: "); other != python {
		t.Errorf("two environments: %s and %s", python, other)
	}
	if made := strings.Count(strings.Join(calls(t, bin), "\n"), "-m venv"); made != 1 {
		t.Errorf("made %d times", made)
	}
	if looked := strings.Count(strings.Join(calls(t, bin), "\n"), probePrefix); looked != 2 {
		t.Errorf("%d probes, want 2: of the base and of the environment, by the one that made it", looked)
	}
}

func TestWaitingForAnotherBuilderCanBeCancelled(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	fifo, gate := makeFIFO(t), makeFIFO(t)
	fake{pip: "exec 3>'" + fifo + "'; echo started >&3; read line < '" + gate + "'"}.install(t, bin, "python3")
	p := startResolver(t, cache, bin)
	openFIFO(t, fifo, nil)

	ctx, cancel := context.WithCancel(t.Context())
	var waited bool
	_, err := Resolve(ctx, Options{Path: bin, CacheDir: cache, Progress: func(step string) {
		waited = strings.HasPrefix(step, "waiting for another")
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || !waited {
		t.Errorf("Resolve = %v, told that it waits: %t", err, waited)
	}
	if err := os.WriteFile(gate, []byte("go on\n"), 0); err != nil {
		t.Fatal(err)
	}
	p.until(t, "python: ") // it was not disturbed
}
