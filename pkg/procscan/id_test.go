package procscan

import (
	"errors"
	"math"
	"os"
	"testing"
	"time"
)

func TestLookup(t *testing.T) {
	f := start(t, "sleep")
	again, err := Lookup(f.id.PID)
	if err != nil || again != f.id {
		t.Errorf("looked up again: %+v, %v; want %+v", again, err, f.id)
	}
	if f.id.Boot == "" || f.id.Start == 0 || f.id.IsZero() {
		t.Errorf("an incomplete identity: %+v", f.id)
	}
	mustAlive(t, f.id, true)
}

func TestLookupOfNobody(t *testing.T) {
	// The last would be PID 1 for a system call that looks at 32 bits.
	for _, pid := range []int{0, -1, math.MaxInt32, math.MaxUint32 + 2} {
		if id, err := Lookup(pid); !errors.Is(err, ErrGone) {
			t.Errorf("PID %d: %+v, %v; want ErrGone", pid, id, err)
		}
	}
}

func TestZombieIsGone(t *testing.T) {
	f := start(t, "sleep")
	h, err := Open(f.id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := f.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(soon(t)); err != nil { // nobody has waited for it: a zombie
		t.Fatal(err)
	}

	if _, err := Lookup(f.id.PID); !errors.Is(err, ErrGone) {
		t.Errorf("Lookup: %v", err)
	}
	if _, err := Open(f.id); !errors.Is(err, ErrGone) {
		t.Errorf("Open: %v", err)
	}
	if _, _, err := Usage(f.id); !errors.Is(err, ErrGone) {
		t.Errorf("Usage: %v", err)
	}
	if err := h.Signal(0); !errors.Is(err, ErrGone) {
		t.Errorf("Signal: %v", err)
	}
	mustAlive(t, f.id, false)
	s, err := Scan(soon(t), Options{Tree: true, ReadEnv: true})
	if err != nil {
		t.Fatal(err)
	}
	if p, found := s.Find(f.id.PID); !found || p.State != Zombie {
		t.Errorf("snapshot: %+v, %v; want the zombie", p, found)
	}
}

func TestOtherIdentityIsNotAlive(t *testing.T) {
	f := start(t, "sleep")
	later, elsewhere := f.id, f.id
	later.Start++
	elsewhere.Boot = "another boot"
	for _, id := range []ID{later, elsewhere, {PID: f.id.PID}, {}} {
		mustAlive(t, id, false)
		if _, err := Open(id); !errors.Is(err, ErrGone) {
			t.Errorf("Open(%+v): %v; want ErrGone", id, err)
		}
		if _, _, err := Usage(id); !errors.Is(err, ErrGone) {
			t.Errorf("Usage(%+v): %v; want ErrGone", id, err)
		}
	}
}

func TestStartedAt(t *testing.T) {
	before := time.Now()
	f := start(t, "sleep")
	at, err := StartedAt(f.id)
	if err != nil {
		t.Fatal(err)
	}
	// The kernel counts in ticks of 10 ms, and rounds down.
	if at.Before(before.Add(-20*time.Millisecond)) || at.After(time.Now()) {
		t.Errorf("started at %v; it was started after %v", at, before)
	}
	f.id.Boot = "another boot"
	if at, err := StartedAt(f.id); err == nil {
		t.Errorf("a process of another boot was started at %v", at)
	}
}

func TestUsage(t *testing.T) {
	self := mustLookup(t, os.Getpid())
	_, before, err := Usage(self)
	if err != nil {
		t.Fatal(err)
	}
	for {
		rss, cpu, err := Usage(self)
		if err != nil {
			t.Fatal(err)
		}
		if rss < 1<<20 || rss > 1<<34 {
			t.Fatalf("%d bytes resident", rss)
		}
		if cpu > before {
			return // the asking itself takes time
		}
	}
}
