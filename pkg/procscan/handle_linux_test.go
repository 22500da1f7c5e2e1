package procscan

import (
	"context"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
)

// TestWaitTakesNoThread: hundreds of workers must not be hundreds of threads.
func TestWaitTakesNoThread(t *testing.T) {
	f := start(t, "sleep")
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := threads()
	const waiters = 100
	handles := make([]*Handle, waiters)
	var waiting sync.WaitGroup
	for i := range handles {
		handles[i] = mustOpen(t, f.id)
		waiting.Go(func() { _ = handles[i].Wait(context.Background()) })
	}
	for parkedWaits() < waiters && !t.Failed() {
		if soon(t).Err() != nil {
			t.Fatal("the waits did not begin")
		}
	}
	if grown := threads() - before; grown > waiters/2 {
		t.Errorf("%d waits took %d threads", waiters, grown)
	}
	for _, h := range handles {
		_ = h.Close()
	}
	waiting.Wait()
}

// parkedWaits counts the goroutines that watch a process.
func parkedWaits() int {
	var text strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&text, 2)
	return strings.Count(text.String(), "(*Handle).await(")
}

func TestHeadlessProcessLives(t *testing.T) {
	f := start(t, "headless", worker(newRun()))
	mustAlive(t, f.id, true)
	h := mustOpen(t, f.id)
	if gone, err := h.Gone(); gone || err != nil {
		t.Errorf("gone: %v, %v", gone, err)
	}
	e := End(soon(t), []Target{{ID: f.id, TrustIdentity: true}}, EndOptions{})[0]
	if e.Signal != "KILL" || e.Err != nil || e.Alive {
		t.Errorf("%+v", e)
	}
}

// TestForeignProcIsNotRead: PIDs of another PID namespace mean others here.
func TestForeignProcIsNotRead(t *testing.T) {
	t.Setenv("HOST_PROC", t.TempDir())
	run := newRun()
	f := start(t, "sleep", worker(run))
	s, err := Scan(soon(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Run(run); len(got) != 1 || got[0].ID != f.id {
		t.Errorf("got %+v", got)
	}
}
