package procscan

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"
)

func mustOpen(t testing.TB, id ID) *Handle {
	t.Helper()
	h, err := Open(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestWaitForAStranger(t *testing.T) {
	f := start(t, "session-child")
	h := mustOpen(t, mustLookup(t, f.pid(0))) // not a child of this process
	waited := make(chan error, 2)
	for range cap(waited) {
		go func() { waited <- h.Wait(soon(t)) }()
	}
	if err := h.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range cap(waited) {
		if err := <-waited; err != nil {
			t.Error(err)
		}
	}
	if err := h.Signal(syscall.SIGTERM); !errors.Is(err, ErrGone) {
		t.Errorf("signal after the end: %v; want ErrGone", err)
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	h := mustOpen(t, start(t, "sleep").id)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := h.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the end of the context", err)
	}
}

func TestWaitForTheDeadIgnoresContext(t *testing.T) {
	f := start(t, "sleep")
	h := mustOpen(t, f.id)
	_ = f.cmd.Process.Kill()
	_, _ = f.cmd.Process.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Wait(ctx); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsWait(t *testing.T) {
	h := mustOpen(t, start(t, "sleep").id)
	waited := make(chan error, 1)
	go func() { waited <- h.Wait(context.Background()) }()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err == nil || errors.Is(err, ErrGone) {
		t.Errorf("the wait ended with %v; the process lives", err)
	}
	if err := h.Signal(0); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("a signal ended with %v; the process lives", err)
	}
}
