// Package doctor looks at everything that a start depends on, and says what is
// wrong with it and what to type.
//
// It only looks: it makes no file and no directory, no Python environment and no
// run, and signals nobody. What it starts are interpreters, to ask them and to
// have one import an adapter; they end by themselves, or at a time limit. Facts
// are read first and judged by pure functions; one file a platform reads the
// system.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
)

// State is what a check came to.
type State string

// The states of a check.
const (
	OK      State = "ok"
	Warn    State = "warn"    // a start works, and something will surprise somebody
	Fail    State = "fail"    // a start, or what is promised of a run, does not work
	Skipped State = "skipped" // it does not apply here, or something else has to be mended first
)

// Check is one line of the examination.
type Check struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Evidence string `json:"evidence"`
	Hint     string `json:"hint"` // what to type; empty when there is nothing to do
}

// Subject is what is examined: a start that could be made here.
type Subject struct {
	Config config.Config
	// Invalid is why there is no configuration: what depends on one is skipped then.
	Invalid error
	// Running is a living run that Config is of. It may hold what is its own.
	Running string

	Runs       string // the directory of all runs
	RuntimeDir string // $XDG_RUNTIME_DIR; may be empty
	TempDir    string
	CacheDir   string
	VirtualEnv string   // $VIRTUAL_ENV
	Path       string   // $PATH
	UnitDirs   []string // where systemd finds units
	Root       string   // of the file system that the kernel tells of cgroups in: "/"

	Now   func() time.Time
	Built time.Time // of this program; zero when that is not known
}

// examination is one pass, and what one check learns for the next.
type examination struct {
	Subject
	tell func(Check)

	python   pyenv.Found
	pythonOK bool
	imports  []imported // of the adapters that could be imported
}

type imported struct {
	adapter string
	pools   []config.Pool
	pyenv.Import
}

// Names are those of the checks, in their order.
func Names() []string {
	return []string{
		"configuration", "python", "adapter", "forkserver", "ports", "descriptors", "processes", "cgroup",
		"state directory", "runtime directory", "cache", "leftovers", "clock", "time-outs", "systemd",
	}
}

// Examine makes all checks, and tells of each as soon as it is made. A name can
// come more than once.
func Examine(ctx context.Context, s Subject, tell func(Check)) {
	e := &examination{Subject: s, tell: tell}
	began := now()
	e.configuration()
	e.findPython(ctx)
	e.importAdapters(ctx)
	e.forkserver()
	e.ports(ctx)
	e.limits()
	e.cgroups()
	e.directories()
	e.leftovers(ctx)
	e.clock(began)
	e.timeouts()
	e.systemd()
}

// Passed says that nothing has failed.
func Passed(checks []Check) bool {
	for _, c := range checks {
		if c.State == Fail {
			return false
		}
	}
	return true
}

func (e *examination) ok(name, format string, args ...any) {
	e.tell(Check{Name: name, State: OK, Evidence: fmt.Sprintf(format, args...)})
}

func (e *examination) skip(name, format string, args ...any) {
	e.tell(Check{Name: name, State: Skipped, Evidence: fmt.Sprintf(format, args...)})
}

func (e *examination) warn(name, hint, format string, args ...any) {
	e.tell(Check{Name: name, State: Warn, Evidence: fmt.Sprintf(format, args...), Hint: hint})
}

func (e *examination) fail(name, hint, format string, args ...any) {
	e.tell(Check{Name: name, State: Fail, Evidence: fmt.Sprintf(format, args...), Hint: hint})
}

// needsConfig skips a check where there is no configuration.
func (e *examination) needsConfig(name string) bool {
	if e.Invalid != nil {
		e.skip(name, "the configuration has to be mended first")
	}
	return e.Invalid == nil
}

// workers is how many the run has, in all pools.
func workers(c config.Config) int {
	n := 0
	for _, p := range c.Pools {
		n += p.Workers
	}
	return n
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
