package procscan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Fixtures that use the package as another user, and the tests that ask them.

// endFromOutside ends the process in its environment and says how it went.
func endFromOutside() {
	pid, _ := strconv.Atoi(os.Getenv("TARGET"))
	id, err := Lookup(pid)
	if err != nil {
		fmt.Println("ready lookup", err)
		return
	}
	e := End(context.Background(), []Target{{ID: id, RunID: os.Getenv("RUN")}}, EndOptions{Grace: time.Second})[0]
	fmt.Printf("ready alive=%v permission=%v signal=%q\n", e.Alive, errors.Is(e.Err, fs.ErrPermission), e.Signal)
}

// scanFromOutside says what it sees of the run in its environment.
func scanFromOutside() {
	s, err := Scan(context.Background(), Options{ReadEnv: true})
	fmt.Printf("ready run=%d unreadable=%v error=%v\n", len(s.Run(os.Getenv("RUN"))), s.Unreadable > 0, err)
}

// scanElsewhere says what it is told in another PID namespace, where it is PID 1.
func scanElsewhere() {
	s, scanned := Scan(context.Background(), Options{ReadEnv: true})
	_, lookedUp := Lookup(os.Getpid())
	fmt.Printf("scan: %v\nlookup: %v\ntyped: %v %v\n", scanned, lookedUp,
		errors.Is(scanned, ErrOtherNamespace) && s.Scanned == 0, errors.Is(lookedUp, ErrOtherNamespace))
	os.Exit(0)
}

func needRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
}

// said returns what a fixture has to say.
func said(t *testing.T, name string, how ...with) string {
	return strings.Join(start(t, name, how...).words, " ")
}

func TestEndOfAnotherUsersProcess(t *testing.T) {
	needRoot(t)
	run := newRun()
	victim := start(t, "sleep", worker(run))
	got := said(t, "end", nobody(), env("RUN="+run, "TARGET="+strconv.Itoa(victim.id.PID)))
	if want := `alive=true permission=true signal=""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	mustAlive(t, victim.id, true)
}

func TestScanCountsWhatItCannotRead(t *testing.T) {
	needRoot(t)
	run := newRun()
	start(t, "sleep", worker(run))                                     // readable: arguments are everybody's
	start(t, "sleep", env(RunIDEnv+"="+run, WorkerIDEnv+"=default-1")) // not readable
	got := said(t, "scan", nobody(), env("RUN="+run))
	if want := "run=1 unreadable=true error=<nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
