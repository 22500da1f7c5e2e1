package chaos

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ident is who a process is: a PID alone can come to mean another one.
type ident struct {
	pid   int
	start uint64 // when it started, in a unit of the platform
}

// process is one process as it was at one look.
type process struct {
	ident
	ppid, pgid, sid int
	state           byte // as in proc_pid_stat(5)
	args, env       []string
}

// errGone says that a process has ended.
var errGone = errors.New("it has ended")

// dead says that it only waits for its parent to notice.
func (p process) dead() bool { return p.state == 'Z' || p.state == 'X' }

// halted says that it was stopped by a signal.
func (p process) halted() bool { return p.state == 'T' }

func (p process) String() string {
	words := make([]string, len(p.args))
	for i, arg := range p.args {
		words[i] = filepath.Base(arg)
	}
	command := []rune(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
	if len(command) > 120 {
		command = append(command[:120], '…')
	}
	return fmt.Sprintf("PID %d (%s)", p.pid, string(command))
}

// has says whether the environment has this entry, whole.
func (p process) has(name, value string) bool { return slices.Contains(p.env, name+"="+value) }

// value is that of a variable.
func (p process) value(name string) string {
	for _, entry := range p.env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// option is the value that follows an argument, or is joined to it by "=".
func (p process) option(name string) string {
	for i, arg := range p.args {
		if value, ok := strings.CutPrefix(arg, name+"="); ok {
			return value
		}
		if arg == name && i+1 < len(p.args) {
			return p.args[i+1]
		}
	}
	return ""
}

// role says what the program's own processes are: "supervise" or "guard".
func (p process) role() string {
	if len(p.args) > 1 && (p.args[1] == "supervise" || p.args[1] == "guard") {
		return p.args[1]
	}
	return ""
}

// alive looks at one process again.
func alive(id ident) bool {
	now, err := lookup(id.pid)
	return err == nil && now.ident == id && !now.dead()
}

// living are those that have not ended.
func living(all []process) []process {
	var left []process
	for _, p := range all {
		if alive(p.ident) {
			left = append(left, p)
		}
	}
	return left
}

func pidsOf(all []process) []int {
	pids := make([]int, len(all))
	for i, p := range all {
		pids[i] = p.pid
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

func describe(all []process) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = p.String()
	}
	return strings.Join(words, "; ")
}
