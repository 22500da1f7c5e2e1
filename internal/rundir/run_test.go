package rundir

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// TestMain turns the test binary into a supervisor that holds a run until its
// input ends, when it is started with the two variables.
func TestMain(m *testing.M) {
	if root := os.Getenv("RUNDIR_TEST_ROOT"); root != "" {
		holdRun(root, os.Getenv("RUNDIR_TEST_RUN"))
		return
	}
	goleak.VerifyTestMain(m)
}

func holdRun(root, id string) {
	run, err := Create(context.Background(), root, id)
	if err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return
	}
	self, err := procscan.Lookup(os.Getpid())
	if err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return
	}
	err = run.WriteRecord(Record{State: StateRunning, Supervisor: Process{PID: self.PID, Start: self.Start, Boot: self.Boot}})
	if err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return
	}
	os.Stdout.WriteString("ready\n")
	io.Copy(io.Discard, os.Stdin)
	run.Close()
}

// supervisor starts another process that holds the run, and returns when it does.
func supervisor(t *testing.T, root, id string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RUNDIR_TEST_ROOT="+root, "RUNDIR_TEST_RUN="+id)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("the supervisor says %q, %v", line, err)
	}
	return cmd
}

func create(t *testing.T, root, id string) *Run {
	t.Helper()
	run, err := Create(t.Context(), root, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	return run
}

// endedRun leaves a run on disk that ended at the given second.
func endedRun(t *testing.T, root, id string, second int64) {
	t.Helper()
	run := create(t, root, id)
	end := &End{At: time.Unix(second, 0).UTC(), How: EndStopped}
	if err := run.WriteRecord(Record{State: StateEnded, End: end}); err != nil {
		t.Fatal(err)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// waitContext calls back when someone begins to wait for it, which is the moment
// after the first try.
type waitContext struct {
	context.Context
	once    *sync.Once
	waiting func()
}

func onWait(t *testing.T, waiting func()) context.Context {
	return waitContext{t.Context(), new(sync.Once), waiting}
}

func (c waitContext) Done() <-chan struct{} {
	c.once.Do(c.waiting)
	return c.Context.Done()
}

func TestCreateModes(t *testing.T) {
	root := filepath.Join(t.TempDir(), "state", "runs")
	run := create(t, root, "demo")
	if err := run.WriteRecord(Record{State: StateStarting}); err != nil {
		t.Fatal(err)
	}
	reg, err := run.OpenRegistry()
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	log, err := OpenLog(run.LogPath("default-0"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	got := map[string]fs.FileMode{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(root, path)
		got[rel] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{
		".": fs.ModeDir | 0o700, "demo": fs.ModeDir | 0o700, "demo/logs": fs.ModeDir | 0o700,
		"demo/lock": 0o600, "demo/run.json": 0o600, "demo/workers.json": 0o600, "demo/logs/default-0.log": 0o600,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
	if run.Path() != filepath.Join(root, "demo") || run.EventsPath() != filepath.Join(root, "demo", "events.jsonl") {
		t.Errorf("paths: %s, %s", run.Path(), run.EventsPath())
	}
}

func TestCreateInUse(t *testing.T) {
	root := t.TempDir()
	cmd := supervisor(t, root, "demo")
	_, err := Create(onWait(t, func() { t.Error("it waits for a supervisor that lives") }), root, "demo")
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.RunID != "demo" || inUse.Supervisor.PID != cmd.Process.Pid {
		t.Fatalf("err = %v, want an *InUseError with PID %d", err, cmd.Process.Pid)
	}
	if _, err := Adopt(t.Context(), root, "demo"); !errors.As(err, &inUse) {
		t.Errorf("Adopt: %v, want an *InUseError", err)
	}
	if _, err := os.Stat(filepath.Join(root, "demo", "run.json")); err != nil {
		t.Errorf("the refused Create touched the living run: %v", err)
	}
}

func TestCreateInUseWithoutRecord(t *testing.T) {
	root := t.TempDir()
	create(t, root, "demo")
	_, err := Create(t.Context(), root, "demo")
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.Supervisor.PID != 0 {
		t.Errorf("err = %v, want an *InUseError without a PID", err)
	}
}

func TestCreateTwoAtOnce(t *testing.T) {
	root := t.TempDir()
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Go(func() {
			run, err := Create(t.Context(), root, "demo")
			if err == nil {
				t.Cleanup(func() { run.Close() })
			}
			results[i] = err
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		var inUse *InUseError
		if err == nil {
			won++
		} else if !errors.As(err, &inUse) {
			t.Errorf("err = %v, want an *InUseError", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d got the run, want 1", won, len(results))
	}
}

func TestCreateAfterDeath(t *testing.T) {
	root := t.TempDir()
	cmd := supervisor(t, root, "demo")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	dir := filepath.Join(root, "demo")
	if found, err := Open(root, "demo"); err != nil || found.Alive || found.Record == nil || found.Record.State != StateRunning {
		t.Errorf("after the death: %+v, %v", found, err)
	}
	writeFile(t, `{"schema_version":1,"workers":[{"worker":"default-0","pid":4711}]}`, dir, "workers.json")
	writeFile(t, "{}\n", dir, "events.jsonl")
	writeFile(t, "x\n", dir, "logs", "default-0.log")

	run := create(t, root, "demo")
	if diff := cmp.Diff([]Entry{{Worker: "default-0", PID: 4711}}, run.Leftover()); diff != "" {
		t.Errorf("leftover (-want +got):\n%s", diff)
	}
	var names []string
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		names = append(names, filepath.Base(path))
		return nil
	})
	if diff := cmp.Diff([]string{"demo", "lock", "logs"}, names); diff != "" {
		t.Errorf("the earlier run's files (-want +got):\n%s", diff)
	}
}

func TestAdopt(t *testing.T) {
	root := t.TempDir()
	run := create(t, root, "demo")
	if err := run.WriteRecord(Record{State: StateRunning, Version: "v1"}); err != nil {
		t.Fatal(err)
	}
	run.Close()
	adopted, err := Adopt(t.Context(), root, "demo")
	if err != nil {
		t.Fatal(err)
	}
	defer adopted.Close()
	if found, _ := Open(root, "demo"); found.Record == nil || found.Record.Version != "v1" || !found.Alive {
		t.Errorf("adopted: %+v, want it untouched and locked", found)
	}
	for _, id := range []string{"other", "../demo", ""} {
		if _, err := Adopt(t.Context(), root, id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Adopt(%q): %v, want fs.ErrNotExist", id, err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "other")); err == nil {
		t.Error("Adopt made a directory")
	}
}

func TestCreateRefuses(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a\x00"} {
		if _, err := Create(t.Context(), root, id); err == nil {
			t.Errorf("Create(%q) made a directory", id)
		}
	}
	writeFile(t, "", root, "file")
	if _, err := Create(t.Context(), root, "file"); err == nil {
		t.Error("Create made a run of a file")
	}
	if _, err := Create(t.Context(), filepath.Join(root, "file"), "x"); err == nil {
		t.Error("Create made a run below a file")
	}
}

func TestCreateCancelled(t *testing.T) {
	root := t.TempDir()
	create(t, root, "demo")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Create(ctx, root, "demo"); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want the context's", err)
	}
}

// TestCreateBesideReaders has readers look without a pause: each holds the lock
// for an instant, and none may make a start fail.
func TestCreateBesideReaders(t *testing.T) {
	root := t.TempDir()
	endedRun(t, root, "demo", 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if _, _, err := List(root); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 50 {
		run, err := Create(t.Context(), root, "demo")
		if err != nil {
			t.Errorf("beside readers: %v", err)
			break
		}
		run.Close()
	}
	close(stop)
	wg.Wait()
}

// TestCreateWaitsForReader holds a reader's lock until Create has met it.
func TestCreateWaitsForReader(t *testing.T) {
	root := t.TempDir()
	run := create(t, root, "demo")
	// A record of a process that exists, so that only the kind of lock tells.
	if err := run.WriteRecord(Record{State: StateRunning, Supervisor: Process{PID: os.Getpid()}}); err != nil {
		t.Fatal(err)
	}
	run.Close()
	lock := reader(filepath.Join(root, "demo"))
	if ok, err := lock.TryRLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	again, err := Create(onWait(t, func() { lock.Close() }), root, "demo")
	if err != nil {
		t.Fatalf("beside a reader: %v", err)
	}
	again.Close()
}

// TestCreateWaitsForCleaner has someone clean up after a dead supervisor while
// the user starts the run again.
func TestCreateWaitsForCleaner(t *testing.T) {
	root := t.TempDir()
	cmd := supervisor(t, root, "demo")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	cleaner, err := Adopt(t.Context(), root, "demo")
	if err != nil {
		t.Fatal(err)
	}
	run, err := Create(onWait(t, func() { cleaner.Close() }), root, "demo")
	if err != nil {
		t.Fatalf("beside a cleaner: %v", err)
	}
	run.Close()
}

// TestInUseByCleaner: who cleans up after a dead supervisor is not that one, even
// while it is a zombie.
func TestInUseByCleaner(t *testing.T) {
	root := t.TempDir()
	cmd := supervisor(t, root, "demo")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var cleaner *Run
	for err := error(&InUseError{}); err != nil; { // until the kernel has closed what it had open
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		cleaner, err = Adopt(t.Context(), root, "demo")
	}
	defer cleaner.Close()
	_, err := Create(t.Context(), root, "demo")
	var inUse *InUseError
	if !errors.As(err, &inUse) || !inUse.Cleanup || inUse.Supervisor.PID != cmd.Process.Pid {
		t.Fatalf("err = %v, want that a cleanup has it", err)
	}
	if said := err.Error(); !strings.Contains(said, "has ended, and a cleanup holds the lock") || strings.Contains(said, "is using it") {
		t.Error(said)
	}
}

func TestStillThere(t *testing.T) {
	root := t.TempDir()
	run := create(t, root, "demo")
	if !stillThere(run.lock) {
		t.Error("a run that nobody touched")
	}
	if err := os.Rename(run.Path(), run.Path()+".gone"); err != nil {
		t.Fatal(err)
	}
	if stillThere(run.lock) {
		t.Error("a removed run")
	}
	create(t, root, "demo")
	if stillThere(run.lock) {
		t.Error("a run that another one replaced")
	}
}

func TestWaitEnded(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "demo")
	if err := WaitEnded(t.Context(), dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no run: %v, want fs.ErrNotExist", err)
	}
	cmd := supervisor(t, root, "demo")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WaitEnded(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("a living run: %v, want the context's error", err)
	}
	kill := func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
	if err := WaitEnded(onWait(t, kill), dir); err != nil {
		t.Errorf("after kill -9: %v", err)
	}
	if found, _ := Open(root, "demo"); found.Alive {
		t.Error("WaitEnded returned while the lock was held")
	}
	if err := WaitEnded(t.Context(), dir); err != nil {
		t.Errorf("an ended run: %v", err)
	}
}

func TestWaitEndedRemoved(t *testing.T) {
	root := t.TempDir()
	run := create(t, root, "demo")
	err := WaitEnded(onWait(t, func() {
		if err := os.Rename(run.Path(), run.Path()+".gone"); err != nil {
			t.Error(err)
		}
	}), run.Path())
	if err != nil {
		t.Errorf("a removed run: %v", err)
	}
}
