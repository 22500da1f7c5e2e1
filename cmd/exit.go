package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/supervisor"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

// The exit codes; people script against them.
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNothing    = 3
	exitPermission = 4
	exitTimeout    = 5
	exitAmbiguous  = 6
	exitOrphans    = 10 // only of orphans --exit-code
)

// failure is an error that knows its exit code and what to do next.
type failure struct {
	err  error
	code int
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failf makes a failure; its text follows "cannot X: reason".
func failf(code int, hint, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), code: code, hint: hint}
}

// silent is a failure that has been shown already.
type silent struct{ code int }

func (s *silent) Error() string { return fmt.Sprintf("exit code %d", s.code) }

// usageError is a command line that makes no sense.
type usageError struct {
	err     error
	command string
}

func (u *usageError) Error() string { return u.err.Error() }

// explain prints an error and what to do next, and returns its exit code.
func explain(w io.Writer, err error) int {
	var said *silent
	if errors.As(err, &said) {
		return said.code
	}
	code, hint := judge(err)
	styles := newStyles(w)
	fmt.Fprintln(w, errorText(styles, strings.TrimSpace(err.Error()), screenOf(w).width))
	if hint != "" {
		fmt.Fprintln(w, styles.next(hint))
	}
	return code
}

// errorText breaks long lines between words; lines of their own stay as they are. What
// is to be typed is never broken: it is in the hint.
func errorText(s *styles, text string, width int) string {
	const prefix = "error: "
	first, more, _ := strings.Cut(text, "\n")
	out := hanging(s.bad.Render(strings.TrimSpace(prefix))+" ", first, width, s.renderer.NewStyle())
	if more != "" {
		out += "\n" + more
	}
	return out
}

// judge is the one table from errors to exit codes and hints.
func judge(err error) (code int, hint string) {
	var (
		known   *failure
		usage   *usageError
		setting *config.Error
		python  *pyenv.Error
		inUse   *rundir.InUseError
		start   *pool.StartError
		taken   *pool.PortTakenError
		left    *supervisor.LeftoversError
		name    *supervisor.NameTakenError
		metrics *supervisor.MetricsError
		tool    *pool.ToolError
		file    *fs.PathError
		cut     *cutShort
		held    *pool.CleanupTimeoutError
		again   *pool.NotRestartedError
		limit   *pool.LimitError
	)
	switch {
	case errors.As(err, &known):
		return known.code, known.hint
	case errors.As(err, &usage):
		return exitUsage, "see " + usage.command + " --help"
	case errors.As(err, &setting):
		return codeOf(err, exitUsage), setting.Hint
	case errors.As(err, &limit):
		return exitUsage, limitHint(limit)
	case errors.As(err, &python):
		return pythonCode(python), python.Hint
	case errors.As(err, &inUse) && inUse.Cleanup:
		return exitAmbiguous, fmt.Sprintf("wait for it: snakepit kill-orphans --run-id %s; then start again; or choose another: --run-id NAME", inUse.RunID)
	case errors.As(err, &inUse):
		return exitAmbiguous, fmt.Sprintf("stop it: snakepit stop --run-id %s; or choose another: --run-id NAME", inUse.RunID)
	case errors.As(err, &left):
		return exitFailed, fmt.Sprintf("see why: snakepit orphans --run-id %[1]s --all -o wide; end them: snakepit kill-orphans --run-id %[1]s; or choose another --run-id",
			left.RunID)
	case errors.As(err, &name):
		return exitAmbiguous, nameHint(name)
	case errors.As(err, &start):
		return startCode(start), startHint(start)
	case errors.As(err, &cut):
		return codeOf(err, exitFailed), "nothing more is begun, and what is under way goes on by itself; see: snakepit list"
	case errors.As(err, &held):
		return exitTimeout, heldHint(held)
	case errors.As(err, &again):
		return exitFailed, restartHint(again.Failure)
	case errors.Is(err, pool.ErrNotTried):
		return exitFailed, "see who is out of service: snakepit list"
	case errors.Is(err, portcheck.ErrPermission):
		return exitPermission, "ports below 1024 are reserved: choose another --base-port, or leave it out for free ports"
	case errors.As(err, &taken):
		return exitFailed, "choose another --base-port, leave it out for free ports, or end the holder"
	case errors.As(err, &metrics):
		return codeOf(err, exitFailed), "choose another address: --metrics 127.0.0.1:0 takes any free port"
	case errors.As(err, &tool):
		return toolCode(tool), toolHint(tool)
	case errors.Is(err, control.ErrWhichPool):
		return exitAmbiguous, "name one: --pool NAME"
	case errors.Is(err, context.Canceled):
		return exitFailed, ""
	case errors.Is(err, pool.ErrNoWorker):
		return exitNothing, "see: snakepit list"
	case errors.Is(err, pool.ErrNoneReady):
		return exitFailed, "see why: snakepit list; snakepit logs"
	case errors.Is(err, pool.ErrStopping):
		return exitFailed, "it takes no calls any more; see: snakepit list"
	case errors.Is(err, pool.ErrStopped):
		return exitFailed, "see who did: snakepit events; start it again: snakepit restart WORKER"
	case errors.Is(err, pool.ErrWorkerDied):
		return exitFailed, "see what became of it: snakepit list; snakepit logs"
	case errors.Is(err, control.ErrVersion):
		return exitFailed, "use the snakepit that started it, or stop it: snakepit stop"
	case errors.Is(err, control.ErrUnreachable):
		return exitFailed, "see: snakepit list"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitFailed, roomHint(err)
	case errors.As(err, &file):
		return codeOf(err, exitFailed), "look at it: ls -ld " + nearestPath(file.Path) + "; XDG_STATE_HOME and XDG_RUNTIME_DIR choose other places"
	}
	return codeOf(err, exitFailed), ""
}

func nameHint(e *supervisor.NameTakenError) string {
	hint := fmt.Sprintf("choose another: --run-id NAME; see what it is: snakepit orphans --run-id %s --all -o wide", e.RunID)
	if stop := e.Stop(); stop != "" {
		return "stop it: " + stop + "; or " + hint
	}
	return hint
}

// nearestPath is the path, or what there is of the way to it: a file that could not be
// made is nothing to look at.
func nearestPath(path string) string {
	for {
		up := filepath.Dir(path)
		if _, err := os.Lstat(path); err == nil || up == path {
			return path
		}
		path = up
	}
}

// roomHint says where there is no room.
func roomHint(err error) string {
	where := stateRoot()
	var file *fs.PathError
	if errors.As(err, &file) {
		where = nearestPath(filepath.Dir(file.Path))
	}
	return fmt.Sprintf("make room: df -h %[1]s; df -i %[1]s; XDG_STATE_HOME and XDG_RUNTIME_DIR choose other places", where)
}

// codeOf finds what the standard library says of an error.
func codeOf(err error, otherwise int) int {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, control.ErrPermission):
		return exitPermission
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	}
	return otherwise
}

// pythonCode is 2 where the user's own choice was wrong.
func pythonCode(e *pyenv.Error) int {
	switch e.Kind {
	case pyenv.NotFound, pyenv.MissingPackage, pyenv.TooOld:
		return exitUsage
	case pyenv.Cache:
		return codeOf(e, exitFailed)
	}
	return exitFailed
}

// startCode is 2 where the configuration names something that is not there, 5
// where a worker hung, 1 where one broke.
func startCode(e *pool.StartError) int {
	switch e.Failures[0].Kind {
	case "adapter_not_found", "adapter_class_not_found", "adapter_missing_package", "adapter_invalid",
		"missing_package", "python_too_old":
		return exitUsage
	case "ready_timeout":
		return exitTimeout
	}
	return exitFailed
}

func startHint(e *pool.StartError) string {
	first := e.Failures[0]
	switch {
	case first.Hint != "":
		return first.Hint
	case first.Kind == "ready_timeout":
		return "the lines above show where it hangs, if it has said so; if it is only slow: --ready-timeout 2m"
	case first.Kind == "exit":
		return "find what ends the process while it starts: the lines above, os._exit in an adapter, a crash in native code"
	}
	return "mend it, and start again"
}

// limitHint says how to get through, or below.
func limitHint(e *pool.LimitError) string {
	raise, fewer := e.Raise, "ask for at most "+count(e.Fit, "worker", "workers")
	if e.More {
		fewer = "add at most " + count(e.Fit, "worker", "workers")
	}
	if e.More && e.Own { // the supervisor has the limit that it was started with
		raise += ", and start the run again"
	}
	if e.Fit > 0 {
		return raise + "; or " + fewer
	}
	return raise
}

// heldHint says how to get at whoever holds a port.
func heldHint(e *pool.CleanupTimeoutError) string {
	rest := fmt.Sprintf("%s comes back by itself as soon as port %d is free", e.Worker, e.Port)
	var pid int
	if _, err := fmt.Sscanf(e.Holder, "PID %d ", &pid); err != nil { // as portcheck.Owner says it
		return fmt.Sprintf("look for it as root: ss -ltnp 'sport = :%d'; %s", e.Port, rest)
	}
	return fmt.Sprintf("look at it: ps -o pid,ppid,user,stat,args -p %d; end it: kill %d; %s", pid, pid, rest)
}

func restartHint(f pool.Failure) string {
	then := fmt.Sprintf("snakepit restart %s", f.Worker)
	switch {
	case f.Hint != "":
		return f.Hint + "; then: " + then
	case f.Kind == "ready_timeout":
		return "the lines above may show where it hangs; if it is only slow, start the run with --ready-timeout 2m; again: " + then
	}
	return fmt.Sprintf("see: snakepit logs %s; mend it, then: %s", f.Worker, then)
}

func toolCode(e *pool.ToolError) int {
	switch e.Type {
	case "UnknownTool":
		return exitNothing
	case "InvalidParameters":
		return exitUsage
	}
	return exitFailed
}

func joinInts(numbers []int, separator string) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, separator)
}

func toolHint(e *pool.ToolError) string {
	switch e.Type {
	case "UnknownTool":
		return "call one of these; others come with another --adapter of snakepit start"
	case "InvalidParameters":
		return `give them by name, as one JSON object: '{"a": 2, "b": 3}'`
	}
	return ""
}

func joinOr(words []string) string { return strings.Join(words, "|") }
