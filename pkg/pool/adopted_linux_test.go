package pool

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// What workers leave is tested in a process of its own, which adopts it.

// adopterScripts are workers by their port. Each has a descendant in a session of
// its own that says who it is.
var adopterScripts = []string{
	// It has a child itself, and both are below the worker while that lives.
	`setsid /bin/sh -c 'sleep 600 & echo $$ $!; wait' & wait`,
	// Its parent has ended, and it has shed its environment: from then on nothing
	// tells whose it was.
	`(setsid env -i /bin/sh -c 'echo $$; exec sleep 600' &); exec sleep 600`,
}

// adopter says "ok" when a worker's end takes with it what is known to be left by
// that worker, and nothing of another.
func adopter() {
	outputs := make(chan *memory, 2)
	l, err := NewExecLauncher(
		func(s Spec) Command {
			return Command{Path: "/bin/sh", Args: []string{"-c", adopterScripts[s.Port]}, Env: append(os.Environ(), procscan.RunIDEnv+"="+s.RunID, procscan.WorkerIDEnv+"="+s.Worker)}
		},
		func(Spec) (Output, error) { m := newMemory(); outputs <- m; return m, nil },
	)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	l.TakeAdopted()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for range ended {
			l.ReapStrangers()
		}
	}()
	a, pidsOfA := adoptersWorker(l, outputs, 0)
	b, pidsOfB := adoptersWorker(l, outputs, 1)
	expect("before", pidsOfB, adoptedBy(l))
	expect("left by the first", pidsOfA, endedWith(a, time.Minute, "TERM"))
	expect("meanwhile", pidsOfB, adoptedBy(l))
	expect("left by the second", nil, endedWith(b, 0, "KILL"))
	expect("in the end", pidsOfB, adoptedBy(l))
	left, _ := l.Adopted(context.Background(), "r")
	for _, p := range left {
		procscan.End(context.Background(), []procscan.Target{{ID: p.ID, TrustIdentity: true}}, procscan.EndOptions{})
	}
	fmt.Println("ok")
}

func expect(when string, want, got []int) {
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		fmt.Printf("%s: PID %v, want %v\n", when, got, want)
	}
}

// adoptersWorker launches one, and waits for the word of its descendant.
func adoptersWorker(l *ExecLauncher, outputs chan *memory, port int) (p Process, left []int) {
	p, err := l.Launch(context.Background(), Spec{RunID: "r", Worker: "w-" + strconv.Itoa(port), Port: port})
	if err != nil {
		fmt.Println(err)
		os.Exit(94)
	}
	output := <-outputs
	for output.lines()[0] == "" {
		time.Sleep(time.Millisecond)
	}
	for _, word := range strings.Fields(output.lines()[0]) {
		pid, _ := strconv.Atoi(word)
		left = append(left, pid)
	}
	return p, left
}

func adoptedBy(l *ExecLauncher) (pids []int) {
	list, err := l.Adopted(context.Background(), "r")
	if err != nil {
		fmt.Println(err)
	}
	for _, p := range list {
		pids = append(pids, p.PID)
	}
	return pids
}

// endedWith kills a worker, and names who was ended with it.
func endedWith(p Process, grace time.Duration, signal string) (pids []int) {
	if err := syscall.Kill(p.ID().PID, syscall.SIGKILL); err != nil {
		fmt.Println(err)
	}
	<-p.Done()
	all, err := p.EndGroup(context.Background(), grace)
	if err != nil {
		fmt.Println(err)
	}
	for _, e := range all {
		if e.Alive || e.Err != nil || e.Signal != signal && e.Signal != "" {
			fmt.Printf("%+v\n", e)
		}
		pids = append(pids, e.ID.PID)
	}
	return pids
}

func TestAdopted(t *testing.T) {
	c := roleCommand("adopter")(Spec{})
	cmd := exec.CommandContext(soon(t), c.Path)
	cmd.Env, cmd.Stderr = c.Env, os.Stderr
	out, err := cmd.Output()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("it says %q, %v; want that all is well", out, err)
	}
}

// Who is not asked to takes nothing for its own.
func TestNothingIsAdopted(t *testing.T) {
	l, outputs := rig(t, "serve")
	launchWith(t, l, outputs, 0)
	cmd := exec.Command("sleep", "600") // a child that is not a worker's
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if list, err := l.Adopted(t.Context(), ""); len(list) > 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}

// The heads of the families are taken whatever they carry; below them, workers of
// another run are not.
func TestFamilies(t *testing.T) {
	process := func(pid, parent int, run string) procscan.Process {
		p := procscan.Process{ID: procscan.ID{PID: pid, Start: uint64(pid)}, PPID: parent, State: procscan.Sleeping}
		p.RunID, p.Condemns = run, run != ""
		return p
	}
	zombie := process(9, 2, "")
	zombie.State = procscan.Zombie
	all := procscan.Snapshot{Processes: []procscan.Process{
		process(1, 0, ""),
		process(2, 1, "other"), process(3, 2, "mine"), process(4, 3, ""), process(5, 2, "other"), process(6, 5, ""),
		process(7, 1, ""), process(8, 7, ""), zombie,
	}}
	var got []int
	for _, p := range families(all, []procscan.Process{process(2, 1, "other"), zombie}, "mine") {
		got = append(got, p.PID)
	}
	if want := []int{2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("PID %v, want %v", got, want)
	}
}
