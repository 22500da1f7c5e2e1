package pool

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Reaping is tested in processes of their own: it would take the exit status of
// whatever else the test process has started.

// becomeReaper makes a launcher whose workers exit with their port's number and
// leave an orphan that ends soon after.
func becomeReaper() *ExecLauncher {
	l, err := NewExecLauncher(func(s Spec) Command {
		return Command{Path: "/bin/sh", Args: []string{"-c", fmt.Sprintf("(exec sleep 0.0%d) & exit %d", s.Port%7, s.Port)}}
	}, func(Spec) (Output, error) { return newMemory(), nil })
	if err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(94)
	}
	return l
}

// noChildren says whether this process has none, not even ended ones.
func noChildren() bool {
	var info unix.Siginfo
	return unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == unix.ECHILD
}

// reaperExits is how many workers end under a reaper's hands.
const reaperExits = 200

// reaper reaps while its workers end, all at once. It says "ok" when every
// worker's exit was its own and no child is left.
func reaper() {
	l := becomeReaper()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for range 2 {
		go func() {
			for range ended {
				l.ReapStrangers()
			}
		}()
	}
	var workers sync.WaitGroup
	for i := range reaperExits {
		workers.Go(func() {
			p, err := l.Launch(context.Background(), Spec{Port: i})
			if err != nil {
				fmt.Println(err)
				return
			}
			_, _ = p.Readiness(context.Background())
			<-p.Done()
			if p.Exit() != (Exit{Code: i}) {
				fmt.Printf("worker %d ended by %s\n", i, p.Exit())
			}
		})
	}
	workers.Wait()
	for !noChildren() {
		time.Sleep(time.Millisecond) // nothing tells of the last child's end
	}
	fmt.Println("ok")
}

// reaperQueue has a child of its own that has ended and nobody has waited for,
// and behind it an orphan that has. It says "ok" when waiting for the one lets
// the other go, too.
func reaperQueue() {
	l := becomeReaper()
	cmd := exec.Command("/bin/sh", "-c", "(exec sleep 0) & exit 5")
	if err := l.Keep(cmd); err != nil {
		fmt.Println(err)
		return
	}
	for zombies() < 2 {
		time.Sleep(time.Millisecond) // nothing tells of the end of a stranger
	}
	l.ReapStrangers()
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 5 {
		fmt.Println("its own child's exit:", err)
	}
	l.Forget(cmd.Process.Pid)
	if !noChildren() {
		fmt.Println("an ended child is left")
	}
	fmt.Println("ok")
}

// zombies counts the ended children of this process.
func zombies() int {
	snapshot, err := procscan.Scan(context.Background(), procscan.Options{Tree: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(94)
	}
	count := 0
	for _, p := range snapshot.Processes {
		if p.PPID == os.Getpid() && p.State == procscan.Zombie {
			count++
		}
	}
	return count
}

func TestReapStrangers(t *testing.T) {
	for _, role := range []string{"reaper", "reaper-queue"} {
		t.Run(role, func(t *testing.T) {
			c := roleCommand(role)(Spec{})
			cmd := exec.CommandContext(soon(t), c.Path)
			cmd.Env, cmd.Stderr = c.Env, os.Stderr
			out, err := cmd.Output()
			if err != nil || string(out) != "ok\n" {
				t.Errorf("it says %q, %v; want that all is well", out, err)
			}
		})
	}
}
