package cmd

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/config"
)

// neighbour is a run with a state directory of its own that lives beside all
// tests that end others.
type neighbour struct {
	s    *sandbox
	id   string
	seen map[string]seenProcess
	told io.WriteCloser // tells the watch that it is stopped
}

// nextDoor has the neighbour, as soon as a test has needed it.
var nextDoor struct {
	once sync.Once
	run  *neighbour
	err  error
}

func livingNeighbour() (*neighbour, error) {
	nextDoor.once.Do(func() { nextDoor.run, nextDoor.err = startNeighbour() })
	return nextDoor.run, nextDoor.err
}

// packageTests end the neighbour after the last test.
type packageTests struct{ *testing.M }

func (p packageTests) Run() int {
	// They wait for other processes more than they compute. Who says otherwise on
	// the command line is heard: that is read later.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	code := p.M.Run()
	if nextDoor.run == nil {
		return code
	}
	if err := nextDoor.run.end(); err != nil {
		fmt.Fprintln(os.Stderr, "the neighbour of all tests:", err)
		return max(code, 1)
	}
	return code
}

func startNeighbour() (*neighbour, error) {
	id, err := config.NewRunID()
	if err != nil {
		return nil, err
	}
	s, err := makeSandbox()
	if err != nil {
		return nil, err
	}
	n := &neighbour{s: s, id: "t-" + id + "-neighbour", seen: map[string]seenProcess{}}
	if err := n.start(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return n, nil
}

func (n *neighbour) start() error {
	if err := n.watch(); err != nil {
		return err
	}
	var stderr strings.Builder
	start := n.s.command("start", "-d", "--workers", "1", "--run-id", n.id, "-o", "json")
	start.Stderr = &stderr
	out, err := start.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, stderr.String())
	}
	list, err := parsePromised(string(out))
	if err != nil {
		return err
	}
	run := list.Runs[0]
	for what, pid := range map[string]int{"supervisor": run.Supervisor.PID, "guard": run.Guard.PID, "worker": run.Pools[0].Workers[0].PID} {
		if n.seen[what], err = seeProcess(pid); err != nil {
			return err
		}
	}
	return nil
}

// watch has a process that is no child of the tests stop the neighbour if they
// end without having done so. Its standard input ends with them.
func (n *neighbour) watch() error {
	const background = `exec 3<&0; { read told <&3 || exec snakepit stop --run-id "$0"; } &`
	cmd := exec.Command("sh", "-c", background, n.id)
	cmd.Dir, cmd.Env = n.s.dir, n.s.env
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	cmd.Stdin, n.told = reader, writer
	return cmd.Run()
}

// harmed names whoever of it is not as it was when it was started.
func (n *neighbour) harmed() error {
	var all []error
	for what, p := range n.seen {
		if err := p.unharmed(); err != nil {
			all = append(all, fmt.Errorf("the %s of a living neighbour was harmed: %w", what, err))
		}
	}
	return errors.Join(all...)
}

func (n *neighbour) end() error {
	err := n.harmed()
	if out, stopped := n.s.command("stop", "--run-id", n.id).CombinedOutput(); stopped != nil {
		err = errors.Join(err, fmt.Errorf("cannot stop it: %w: %s", stopped, out))
	}
	_, told := io.WriteString(n.told, "stopped\n")
	err = errors.Join(err, told, n.told.Close())
	if left := cleanUp(n.s.runs(), nil); len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("left: %q", left))
	}
	return errors.Join(err, n.s.remove())
}
