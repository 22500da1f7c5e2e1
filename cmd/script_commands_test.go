package cmd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

type storyCommand = func(ts *testscript.TestScript, neg bool, args []string)

// check is a command of a story that looks at something. It can be negated, and
// "eventually" can wait for it.
type check func(ts *testscript.TestScript, args []string) error

// storyCommands are the commands that stories have beside those of testscript.
func storyCommands() map[string]storyCommand {
	checks := map[string]check{
		"exits":          checkExit,
		"closed-stdout":  checkClosedStdout,
		"as-nobody":      checkNobody,
		"listing":        checkListing,
		"worker":         checkWorker,
		"events":         checkEvents,
		"event":          checkEvent,
		"alive":          checkAlive,
		"file":           checkFile,
		"found":          checkFound,
		"killed":         checkKilled,
		"restarted":      checkRestarted,
		"restart-failed": checkRestartFailed,
		"none-left":      checkNoneLeft,
		"faster-than":    checkFasterThan,
		"metric":         checkMetric,
		"diagnosed":      checkDiagnosed,
		"examined":       checkExamined,
	}
	commands := map[string]storyCommand{
		"eventually": eventually(checks),
		"let":        cmdLet,
		"signal":     cmdSignal,
		"namesakes":  cmdNamesakes,
		"ports":      cmdPorts,
		"listen":     cmdListen,
		"glob":       cmdGlob,
		"stopwatch": func(ts *testscript.TestScript, _ bool, _ []string) {
			ts.Setenv("STOPWATCH", time.Now().Format(time.RFC3339Nano))
		},
	}
	for name, look := range checks {
		commands[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			err := look(ts, args)
			if err != nil && !neg {
				ts.Fatalf("%s: %v", name, err)
			}
			if err == nil && neg {
				ts.Fatalf("%s: unexpectedly so", name)
			}
		}
	}
	return commands
}

// eventually LIMIT CHECK [ARG...] repeats a check until it holds. What is waited
// for happens in other processes, which do not tell.
func eventually(checks map[string]check) storyCommand {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		limit, err := time.ParseDuration(args[0])
		ts.Check(err)
		not := args[1] == "!"
		if not {
			args = args[1:]
		}
		look, known := checks[args[1]]
		if !known || neg {
			ts.Fatalf("usage: eventually LIMIT [!] CHECK [ARG...]")
		}
		for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
			err := look(ts, args[2:])
			if (err == nil) != not {
				return
			}
			if time.Now().After(deadline) {
				ts.Fatalf("%s: not within %v: %v", args[1], limit, err)
			}
		}
	}
}

// exits CODE PROGRAM [ARG...] runs a program, whose exit code must be this one.
func checkExit(ts *testscript.TestScript, args []string) error {
	return exitsWith(args[0], ts.Exec(args[1], args[2:]...))
}

func exitsWith(want string, err error) error {
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode() // -1 for a signal
	case err != nil:
		return err
	}
	if got := strconv.Itoa(code); got != want {
		return fmt.Errorf("exit code %s, want %s", got, want)
	}
	return nil
}

// closed-stdout CODE PROGRAM [ARG...] runs a program whose standard output has
// lost its reader. It must say nothing about that.
func checkClosedStdout(ts *testscript.TestScript, args []string) error {
	reader, writer, err := os.Pipe()
	ts.Check(err)
	ts.Check(reader.Close())
	defer writer.Close()
	program := exec.Command(args[1], args[2:]...)
	for _, name := range []string{"PATH", "HOME", "GORACE", "GOCOVERDIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"} {
		program.Env = append(program.Env, name+"="+ts.Getenv(name))
	}
	program.Dir, program.Stdout, program.Stderr = ts.MkAbs("."), writer, ts.Stderr()
	return exitsWith(args[0], program.Run())
}

// file PATH exists.
func checkFile(ts *testscript.TestScript, args []string) error {
	_, err := os.Stat(ts.MkAbs(args[0]))
	return err
}

// alive PID, and not a zombie.
func checkAlive(ts *testscript.TestScript, args []string) error {
	_, err := procscan.Lookup(number10(ts, args[0]))
	return err
}

// none-left: no run of the story is alive, nor is anything of one.
func checkNoneLeft(ts *testscript.TestScript, _ []string) error {
	if left := leftBehind(runsIn(ts.Getenv("XDG_STATE_HOME")), bystandersOf(ts).has); len(left) > 0 {
		return fmt.Errorf("left: %q", left)
	}
	return nil
}

// faster-than LIMIT since the stopwatch was started.
func checkFasterThan(ts *testscript.TestScript, args []string) error {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	began, err := time.Parse(time.RFC3339Nano, ts.Getenv("STOPWATCH"))
	ts.Check(err)
	if took := time.Since(began); took > limit {
		return fmt.Errorf("it took %v", took)
	}
	return nil
}

// signal NAME PID: of a process that the story has just seen.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(syscall.Kill(number10(ts, args[1]), unix.SignalNum("SIG"+args[0])))
}

// namesakes start|end: workers of other runs that have the name of this one. A
// start of this name is refused as long as they are there.
func cmdNamesakes(ts *testscript.TestScript, _ bool, args []string) {
	switch b := bystandersOf(ts); args[0] {
	case "start":
		ts.Check(b.startNamesakes())
	case "end":
		ts.Check(b.endNamesakes())
	}
}

func bystandersOf(ts *testscript.TestScript) *bystanders {
	return ts.Value(bystandersKey{}).(*bystanders)
}

func number10(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// portBlocks hands out ports that the kernel does not choose by itself, each to
// one story: they run at the same time.
var portBlocks = sync.OnceValue(func() chan int {
	blocks := make(chan int, 1)
	blocks <- 20000 + rand.IntN(8000)
	return blocks
})

// ports NAME N sets NAME to the first of N free ports in a row, and NAME1 and so
// on to the others.
func cmdPorts(ts *testscript.TestScript, _ bool, args []string) {
	n := number10(ts, args[1])
	blocks := portBlocks()
	first := <-blocks
	for free := 0; free < n; {
		if portcheck.Check(context.Background(), "127.0.0.1", first+free) != nil {
			first, free = first+free+1, 0
			continue
		}
		free++
	}
	blocks <- first + n
	ts.Setenv(args[0], strconv.Itoa(first))
	for i := 1; i < n; i++ {
		ts.Setenv(args[0]+strconv.Itoa(i), strconv.Itoa(first+i))
	}
}

// glob NAME PATTERN sets NAME to the one file that matches.
func cmdGlob(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("not one file: %q", files)
	}
	ts.Setenv(args[0], files[0])
}

// listen PORT holds a port until the end of the story; HOLDER is by whom.
func cmdListen(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	ts.Setenv("HOLDER", strconv.Itoa(os.Getpid()))
}
