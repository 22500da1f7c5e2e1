package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Trouble with the directory in which runs keep their files.

// disk is one kind of trouble.
type disk struct {
	what        string
	spoil, mend func(*stage) error
	says        []string // what a refusal names as its reason
}

func diskFull() Scenario {
	full := disk{
		what:  "the file system of the state directory is full",
		spoil: fill, mend: func(s *stage) error { return os.Remove(s.filler()) },
		says: []string{"no space left"},
	}
	return diskScenario("disk_full", full, func(Options) string {
		if os.Geteuid() != 0 || !canMount {
			return "it needs a file system of its own, which on Linux root can mount"
		}
		return ""
	}, mountSmall)
}

func readOnlyState() Scenario {
	sealed := disk{
		what:  "the state directory cannot be written to",
		spoil: (*stage).seal, mend: (*stage).unseal,
		says: []string{"read-only", "permission denied"},
	}
	return diskScenario("read_only_state", sealed, func(Options) string {
		if os.Geteuid() == 0 && !canMount {
			return "nothing is forbidden to root here"
		}
		return ""
	})
}

func diskScenario(name string, d disk, needs func(Options) string, first ...step) Scenario {
	return Scenario{
		Name: name, Suite: SuiteGuard, needs: needs,
		Assumes: "every worker takes connections",
		Fault:   d.what + "; then a worker gets SIGKILL, another run is started, and, after that was mended once, this one is stopped",
		steps: append(first,
			func(_ context.Context, s *stage) error { s.disk = d; return nil },
			start, spoilDisk, crashOne, pause(time.Second), othersUntouched, nobodyUnregistered, startRefused,
			mendDisk, restartOne, spoilDisk, stopSomehow, allGone(afterStop), allOver(afterStop), nothingFalse,
			mendDisk, idFreeAgain,
		),
	}
}

func spoilDisk(_ context.Context, s *stage) error {
	if err := s.disk.spoil(s); err != nil {
		return fmt.Errorf("the fault could not be injected: %w", err)
	}
	s.fault("%s", s.disk.what)
	return nil
}

func mendDisk(_ context.Context, s *stage) error {
	if err := s.disk.mend(s); err != nil {
		return fmt.Errorf("the fault could not be taken back: %w", err)
	}
	s.note("fault", "that is over: %s", s.disk.what)
	return nil
}

// crashOne kills a worker at random.
func crashOne(_ context.Context, s *stage) error {
	w := s.first().anyWorker()
	s.aim(w)
	return s.kill(w.slot, w.process)
}

// nobodyUnregistered looks whether a process runs that the registry does not name:
// if everything dies now, nobody would know of it.
func nobodyUnregistered(_ context.Context, s *stage) error {
	r := s.first()
	mine, err := r.processes()
	if err != nil {
		return err
	}
	entries, err := r.readRegistry()
	if err != nil {
		return err
	}
	registered := map[int]bool{}
	for _, e := range entries {
		registered[e.PID] = true
	}
	var unknown []process
	for _, w := range slotsOf(mine, entries) {
		if w.slot == s.target.slot && !registered[w.pid] && alive(w.ident) {
			unknown = append(unknown, w.process)
		}
	}
	sockets := listeners(s.target.port)
	for _, p := range mine { // one that was forked does not show whose it is, but it holds the port
		if !registered[p.pid] && p.pid == p.pgid && p.holds(sockets) {
			unknown = append(unknown, p)
		}
	}
	s.check(Check{Name: "nobody unregistered", Passed: len(unknown) == 0, Detail: "workers that the registry does not name: " + found(unknown)})
	return nil
}

// startRefused starts another run, which has to say why it cannot be, and to leave
// nothing.
func startRefused(ctx context.Context, s *stage) error {
	other := s.newRun()
	p, err := other.snakepit(ctx, append([]string{"start", "-d"}, other.flags...)...)
	if err != nil {
		return err
	}
	reason := false
	for _, word := range s.disk.says {
		reason = reason || strings.Contains(p.err, word)
	}
	s.check(Check{
		Name: "start refused", Passed: p.code != 0 && reason,
		Detail: fmt.Sprintf("exit code %d, it says why: %s%s", p.code, yesNo(reason), unless(p.code != 0 && reason, p)),
	})
	var left []process
	clean := await(ctx, noticeLimit, func() bool { left, err = other.processes(); return err != nil || len(left) == 0 })
	s.check(Check{Name: "nothing of the other run", Passed: clean && err == nil, Detail: "own scan: " + found(left)})
	return err
}

// restartOne has the worker come back, in whatever state it was left.
func restartOne(ctx context.Context, s *stage) error {
	s.faultAt = time.Now()
	if _, err := s.first().expect(ctx, 0, "restart", s.target.slot); err != nil {
		return err
	}
	return s.awaitBack(ctx, s.first(), s.target)
}

// stopSomehow stops a run that cannot write down what becomes of it. It may call
// that a failure; it may not say that nothing is left when there is.
func stopSomehow(ctx context.Context, s *stage) error {
	r := s.first()
	if _, err := r.processes(); err != nil {
		return err
	}
	s.fault("run %s is stopped", r.id)
	p, err := r.snakepit(ctx, "stop")
	if err != nil {
		return err
	}
	fine := p.code == 0 && p.claimsClean() || p.code == 1 && !p.claimsClean()
	s.check(Check{Name: "stop", Passed: fine, Detail: fmt.Sprintf("exit code %d, it says that nothing is left: %s%s", p.code, yesNo(p.claimsClean()), unless(fine, p))})
	return nil
}

func (s *stage) filler() string { return filepath.Join(s.stateHome(), "filler") }

// fill writes until nothing more fits.
func fill(s *stage) error {
	file, err := os.Create(s.filler())
	if err != nil {
		return err
	}
	for size := 1 << 16; size > 0; size >>= 1 {
		for err == nil {
			_, err = file.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			break
		}
		err = nil
	}
	return errors.Join(err, file.Close())
}

// sealModes are those of directories in which nothing can be made, and of ours.
const sealMode, openMode = 0o500, 0o700

// seal makes the state directory, and that of the first run, read-only.
func (s *stage) seal() error {
	if os.Geteuid() == 0 {
		return s.mountOver()
	}
	for _, dir := range s.stateDirs() {
		if err := os.Chmod(dir, sealMode); err != nil {
			return err
		}
	}
	s.undo = append(s.undo, s.unseal)
	return nil
}

func (s *stage) unseal() error {
	if os.Geteuid() == 0 {
		return s.unmountOver()
	}
	var err error
	for _, dir := range s.stateDirs() {
		err = errors.Join(err, os.Chmod(dir, openMode))
	}
	return err
}

func (s *stage) stateDirs() []string { return []string{filepath.Dir(s.first().dir()), s.first().dir()} }
