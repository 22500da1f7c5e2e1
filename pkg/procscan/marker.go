package procscan

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a worker carries. The environment is inherited by its descendants, the
// arguments are its own.
const (
	RunIDFlag   = "--snakepit-run-id"
	RunIDEnv    = "SNAKEPIT_RUN_ID"
	WorkerIDEnv = "SNAKEPIT_WORKER_ID"
	// RunKeyEnv tells runs of the same name apart: a random value of each run.
	RunKeyEnv = "SNAKEPIT_RUN_KEY"
	// EntryPoint is the pattern (path.Match) of the worker's script.
	EntryPoint = "grpc_server*.py"
)

// maxID is the longest id of a run or worker that is believed, in bytes. Our
// own have at most 64; other hosts that start such workers choose other ids.
const maxID = 128

// Sign is one thing about a process that speaks for its being part of a run.
type Sign string

// The signs there are.
const (
	// SignArgument: --snakepit-run-id ID as two whole arguments, or
	// --snakepit-run-id=ID as one.
	SignArgument Sign = "argument"
	// SignEnvironment: SNAKEPIT_RUN_ID together with SNAKEPIT_WORKER_ID. The
	// first alone is what a person exports in a shell, and is no sign.
	SignEnvironment Sign = "environment"
	// SignEntryPoint: the worker's script as an argument of its own, before the
	// argument marker. It is looked for only when there is one.
	SignEntryPoint Sign = "entry point"
)

// Marker is what the arguments and the environment of a process say about the
// run that it is part of.
type Marker struct {
	RunID string
	// WorkerID is from the environment; empty when that was not read, or names
	// another run.
	WorkerID string
	// Key is the run's own random value, from the environment; empty when that
	// was not read or has none.
	Key   string
	Signs []Sign
	// Condemns says that the signs suffice to end the process with its run:
	// the environment alone does, an argument needs a second sign of the same
	// run. Without it, RunID is only what the process mentions.
	Condemns bool
	// Evidence is what was seen, in words, one finding each.
	Evidence []string
}

// ParseMarker reads the marker out of the arguments and environment of a
// process. Either may be nil if it is not known.
//
// Findings that contradict each other condemn nobody, with one exception: with
// the worker's entry point beside it, the argument is believed and the
// environment is not. A worker whose host itself was started from within
// another run's worker has inherited that run's environment.
func ParseMarker(args, env []string) Marker {
	argument := argumentMarker(args)
	environment := environmentMarker(env)
	m := Marker{Evidence: slices.Concat(argument.evidence, environment.evidence)}
	if argument.seen() {
		m.Signs = append(m.Signs, SignArgument)
	}
	if argument.entryPoint {
		m.Signs = append(m.Signs, SignEntryPoint)
	}
	if environment.seen() {
		m.Signs = append(m.Signs, SignEnvironment)
	}

	m.Key = valueIn(env, RunKeyEnv)
	switch {
	case !argument.seen() && !environment.seen():
		return Marker{}
	case argument.contradicts || environment.contradicts:
		m.note("this names several runs, and is not believed")
	case !argument.seen():
		m.RunID, m.WorkerID, m.Condemns = environment.runID, environment.workerID, true
	case !environment.seen():
		m.RunID, m.Condemns = argument.runID, argument.entryPoint
		if !m.Condemns {
			m.note("an argument alone proves nothing")
		}
	case argument.runID == environment.runID:
		m.RunID, m.WorkerID, m.Condemns = argument.runID, environment.workerID, true
	default:
		m.RunID, m.Condemns = argument.runID, argument.entryPoint
		m.note("arguments and environment name different runs")
	}
	return m
}

func (m *Marker) note(finding string) { m.Evidence = append(m.Evidence, finding) }

// finding is what one of the two places says.
type finding struct {
	runID, workerID string
	contradicts     bool // several run ids in one place
	entryPoint      bool
	evidence        []string
}

func (f finding) seen() bool { return f.runID != "" }

func (f *finding) add(runID, evidence string) {
	if f.seen() && f.runID != runID {
		f.contradicts = true
	}
	f.runID = runID
	f.evidence = append(f.evidence, evidence)
}

// argumentMarker looks at whole arguments only. The name of the program is not
// one.
func argumentMarker(args []string) finding {
	var f finding
	for i := 1; i < len(args); i++ {
		value, joined := strings.CutPrefix(args[i], RunIDFlag+"=")
		if args[i] == RunIDFlag && i+1 < len(args) {
			value = args[i+1]
		} else if !joined {
			continue
		}
		if !validID(value) {
			continue
		}
		f.add(value, "argument "+RunIDFlag+" "+value)
		if script := entryPoint(args[:i]); script != "" && !f.entryPoint {
			f.entryPoint = true
			f.evidence = append(f.evidence, "entry point "+strconv.Quote(script))
		}
	}
	return f
}

// entryPoint returns the worker's script among the arguments that stand before
// its options. A script behind the marker, or behind "--", is what somebody
// searches or edits: grep -- --snakepit-run-id X grpc_server.py.
func entryPoint(before []string) string {
	if slices.Contains(before, "--") {
		return ""
	}
	for _, arg := range before {
		if ok, _ := path.Match(EntryPoint, path.Base(arg)); ok {
			return arg
		}
	}
	return ""
}

func environmentMarker(env []string) finding {
	var f finding
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, WorkerIDEnv+"="); ok && f.workerID == "" && validID(value) {
			f.workerID = value
		}
	}
	if f.workerID == "" {
		return finding{}
	}
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, RunIDEnv+"="); ok && validID(value) {
			f.add(value, "environment "+RunIDEnv+"="+value+" with "+WorkerIDEnv+"="+f.workerID)
		}
	}
	return f
}

// WithoutMarker leaves the marker out of an environment: for a process that is
// started from within a run and is not to be taken for one of its members.
func WithoutMarker(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == RunIDEnv || name == WorkerIDEnv || name == RunKeyEnv
	})
}

// validID refuses what no host uses as the id of a run or a worker. A value that
// begins with a dash is the next option of a command line without the value.
func validID(id string) bool {
	if id == "" || len(id) > maxID || id[0] == '-' || !utf8.ValidString(id) {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

// valueIn is the value of a variable; empty when it is there twice.
func valueIn(env []string, name string) (value string) {
	seen := false
	for _, entry := range env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			if seen {
				return ""
			}
			value, seen = v, true
		}
	}
	return value
}

// RunAndWorker are the run and the worker of whose marker a process has what condemns
// it to end with that run; empty for one that only mentions a run.
func RunAndWorker(args, env []string) (runID, worker string) {
	m := ParseMarker(args, env)
	if !m.Condemns {
		return "", ""
	}
	return m.RunID, m.WorkerID
}
