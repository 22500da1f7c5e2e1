package cmd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// bystanders stand beside a run that a test ends, in good order or not: the
// decoys that name it, and a living run that has nothing to do with it. None of
// them may be harmed. Whether they were, their own exit and the kernel tell,
// not the program under test.
type bystanders struct {
	runID     string
	impostors *decoys
	namesakes *decoys // nil as long as there are none
	neighbour *neighbour
	skipped   []string // who cannot stand here, and why
}

func newBystanders(id string) (*bystanders, error) {
	beside, err := livingNeighbour()
	if err != nil {
		return nil, fmt.Errorf("cannot start the neighbour: %w", err)
	}
	stand, err := newDecoys(impostors(id))
	if err != nil {
		return nil, err
	}
	return &bystanders{runID: id, impostors: stand, neighbour: beside, skipped: stand.skipped}, nil
}

// startNamesakes is for after the start of the run.
func (b *bystanders) startNamesakes() (err error) {
	if b.namesakes, err = newDecoys(namesakes(b.runID)); err == nil {
		b.skipped = append(b.skipped, b.namesakes.skipped...)
	}
	return err
}

// endNamesakes makes room for another start of this name.
func (b *bystanders) endNamesakes() error {
	if b.namesakes == nil {
		return nil
	}
	defer func() { b.namesakes = nil }()
	return b.namesakes.end()
}

// has says that the process is a bystander that names the run.
func (b *bystanders) has(pid int) bool {
	return b != nil && (b.impostors.has(pid) || b.namesakes.has(pid))
}

// end names whoever was harmed.
func (b *bystanders) end() error {
	return errors.Join(b.impostors.end(), b.endNamesakes(), b.neighbour.harmed())
}

// without tells who could not stand here.
func (b *bystanders) without() string {
	if len(b.skipped) == 0 {
		return ""
	}
	slices.Sort(b.skipped)
	return "without " + strings.Join(slices.Compact(b.skipped), "; ")
}

// beside has bystanders for as long as the test takes.
func (s *sandbox) beside(tb testing.TB, id string) *bystanders {
	tb.Helper()
	b, err := newBystanders(id)
	if err != nil {
		tb.Fatal(err)
	}
	s.bystanders = append(s.bystanders, b)
	tb.Cleanup(func() {
		if err := b.end(); err != nil {
			tb.Error(err)
		}
		if text := b.without(); text != "" {
			tb.Log(text)
		}
	})
	return b
}

// withNamesakes has them until they are ended by the function returned.
func (b *bystanders) withNamesakes(tb testing.TB) (end func()) {
	tb.Helper()
	if err := b.startNamesakes(); err != nil {
		tb.Fatal(err)
	}
	return func() {
		tb.Helper()
		if err := b.endNamesakes(); err != nil {
			tb.Error(err)
		}
	}
}

// spares says that a process is a bystander of the sandbox, and not left over.
func (s *sandbox) spares(pid int) bool {
	for _, b := range s.bystanders {
		if b.has(pid) {
			return true
		}
	}
	return false
}

// seenProcess is one process, as the kernel describes it: a PID alone would be
// anybody's.
type seenProcess struct {
	PID     int
	started string
}

func seeProcess(pid int) (seenProcess, error) {
	started, _, err := kernelSays(pid)
	return seenProcess{pid, started}, err
}

// unharmed says why the process is not what it was: it has ended, it has been
// stopped, or the number is another one's.
func (p seenProcess) unharmed() error {
	started, state, err := kernelSays(p.PID)
	switch {
	case err != nil:
		return err
	case started != p.started:
		return fmt.Errorf("PID %d is another process: it started at %s, not at %s", p.PID, started, p.started)
	case strings.ContainsAny(state, "ZXTt"):
		return fmt.Errorf("PID %d is in state %s", p.PID, state)
	}
	return nil
}

// kernelSays when a process was started and in which state it is: fields 22 and
// 3 of proc_pid_stat(5), counted from behind the name, which can contain
// anything; elsewhere, what ps(1) makes of it.
func kernelSays(pid int) (started, state string, err error) {
	if runtime.GOOS != "linux" {
		out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
		if err != nil {
			return "", "", fmt.Errorf("PID %d: %w", pid, err)
		}
		state, started, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		return started, state, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return "", "", fmt.Errorf("PID %d: %q", pid, stat)
	}
	return fields[19], fields[0], nil
}
