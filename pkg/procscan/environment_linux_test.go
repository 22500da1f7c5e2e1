package procscan

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// overwrite writes zeros over its environment, as setproctitle(3) does.
func overwrite() {
	st, err := readStat(os.Getpid())
	if err == nil {
		err = writeZeros(int64(st.memory.envStart), int64(st.memory.envEnd))
	}
	if err != nil {
		fmt.Println("cannot overwrite:", err)
	}
	ready()
}

func writeZeros(from, to int64) error {
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	_, err = memory.WriteAt(make([]byte, to-from), from)
	return err
}

// closed has nobody of its user read it.
func closed() {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		fmt.Println("prctl:", err)
	}
	ready()
}

// closedSeen says what a scan sees of the closed child of its own user.
func closedSeen() {
	pid := spawn("closed", true)
	s, err := Scan(context.Background(), Options{ReadEnv: true})
	id, _ := Lookup(pid)
	seen := false
	for _, c := range s.Closed {
		seen = seen || c == id
	}
	uid, _ := readUID(pid)
	ready(fmt.Sprintf("closed=%v run=%d own=%v error=%v", seen, len(s.Run(os.Getenv("RUN"))), uid == os.Geteuid(), err))
}

func TestEnvironmentOfWhomItIsAskedFor(t *testing.T) {
	whole, hidden := start(t, "sleep"), start(t, "overwrite", worker(newRun()), args("python3"))
	s := mustScan(t, Options{ReadEnv: true, Also: []ID{whole.id, hidden.id}})
	for id, want := range map[ID]EnvState{whole.id: EnvWhole, hidden.id: EnvOverwritten} {
		if p, found := s.Find(id.PID); !found || p.Environment != want {
			t.Errorf("%v: %q, want %q", found, p.Environment, want)
		}
	}
}

// Our own that lets nobody read it may be of any run of ours.
func TestScanNamesTheClosed(t *testing.T) {
	needRoot(t)
	got := said(t, "closed-seen", nobody(), env("RUN="+newRun()))
	if want := "closed=true run=0 own=true error=<nil>"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A process whose main thread has ended shows its marker in its other threads.
func TestMarkerOfTheHeadless(t *testing.T) {
	for name, how := range map[string][]with{
		"arguments and environment": nil,
		"environment alone":         {args("a name of its own")},
	} {
		t.Run(name, func(t *testing.T) {
			run := newRun()
			f := start(t, "headless", append([]with{worker(run)}, how...)...)
			got := mustScan(t, Options{ReadEnv: true}).Run(run)
			if len(got) != 1 || got[0].ID != f.id || got[0].WorkerID != "default-0" || got[0].State.IsDead() || got[0].UID != os.Geteuid() {
				t.Fatalf("found %+v", got)
			}
			if ended := endRun(t, run, EndOptions{}); len(ended) != 1 || ended[0].ID != f.id || ended[0].Signal != "KILL" {
				t.Errorf("%+v", ended)
			}
		})
	}
}

// Who let nobody read it for an instant only, as in the middle of execve(2), is seen
// for what it is; who has ended meanwhile is not there.
func TestClosedForAnInstant(t *testing.T) {
	run := newRun()
	marked, plain := start(t, "sleep", worker(run)), start(t, "sleep")
	gone := ID{PID: marked.id.PID, Start: marked.id.Start - 1, Boot: marked.id.Boot}
	all := Snapshot{Closed: []ID{marked.id, plain.id, gone}, Unreadable: 4}
	for _, id := range all.Closed {
		all.Processes = append(all.Processes, Process{ID: id})
	}
	s := scanner{opts: Options{ReadEnv: true}, boot: marked.id.Boot, self: os.Getpid(), uid: os.Geteuid()}
	s.lookAgain(t.Context(), &all)
	if len(all.Closed) != 0 || all.Unreadable != 1 {
		t.Errorf("closed %v, %d unreadable", all.Closed, all.Unreadable)
	}
	if found := all.Run(run); len(found) != 1 || found[0].ID != marked.id || len(all.Processes) != 1 {
		t.Errorf("of the run: %v, of all %d; want the marked one alone", found, len(all.Processes))
	}
}
