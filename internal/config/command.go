package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/shlex"
)

// A pool's command: any gRPC server in place of an adapter.

// Placeholders returns the names that a word of a command may have in braces,
// as in "{port}". Every launch puts that worker's own values there. Braces around
// anything but a name are left as they are, so that a word can be JSON.
func Placeholders() []string { return []string{"port", "host", "worker", "run_id", "pool"} }

var placeholderPattern = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// splitCommand splits a command as a shell does, with quotes, backslashes, and #
// before a comment. No shell runs it: variables, pipes and wildcards mean nothing.
func splitCommand(text string) ([]string, *fault) {
	words, err := shlex.Split(text)
	if err != nil {
		return nil, &fault{
			"a quote is not closed, or nothing follows a backslash",
			"close the quote; in a file, a list of words needs none: [python, server.py]",
		}
	}
	return words, nil
}

func checkCommand(words []string) *fault {
	if len(words) == 0 || words[0] == "" {
		return &fault{"it names no program", "give a program and its arguments, such as 'python server.py --port {port}'"}
	}
	for _, word := range words {
		if strings.ContainsRune(word, 0) {
			return &fault{"a word cannot contain a NUL character", "remove the NUL character"}
		}
		for _, m := range placeholderPattern.FindAllStringSubmatch(word, -1) {
			if !slices.Contains(Placeholders(), m[1]) {
				return &fault{
					"there is no placeholder " + m[0],
					fmt.Sprintf("use {%s}", strings.Join(Placeholders(), "}, {")),
				}
			}
		}
	}
	return nil
}

func checkReady(text string) *fault {
	expression, isLog := strings.CutPrefix(text, ReadyLog)
	switch {
	case text == ReadyHealth, text == ReadyTCP:
		return nil
	case !isLog:
		return &fault{
			"it is none of health, tcp, log:REGEX",
			"choose health (the gRPC health service answers), tcp (the port accepts), or log:REGEX (a line of output matches)",
		}
	case expression == "":
		return &fault{"there is no expression after log:", "give one that matches the line it prints when it serves, such as 'log:listening on'"}
	}
	if _, err := regexp.Compile(expression); err != nil {
		return &fault{err.Error(), "write the expression as in https://pkg.go.dev/regexp/syntax"}
	}
	return nil
}

// complete gives the pool what follows from its being one of the two sorts, and
// refuses what contradicts itself; given are the settings as they were written.
func (p *Pool) complete(given map[string]value) error {
	command, isCommand := given["command"]
	adapter, isAdapter := given["adapter"]
	ready, isReady := given["ready"]
	switch {
	case isCommand && isAdapter:
		return command.bad(&fault{"the pool has an adapter, too: " + adapter.what, eitherHint})
	case isReady && !isCommand:
		return ready.bad(&fault{"the pool has no command", readyHint})
	case isCommand && !isReady:
		p.Ready = DefaultReady
	case !isCommand && !isAdapter:
		p.Adapter = DefaultAdapter
	}
	return nil
}

const (
	eitherHint = "give a pool either an adapter or a command, and leave out the other"
	readyHint  = "leave ready out: workers with an adapter say by themselves when they are ready; or give the pool a command"
)

// validateProgram checks what the workers of the pool are: an adapter, or a
// command.
func (p Pool) validateProgram() error {
	if len(p.Command) == 0 {
		adapter, f := parseAdapter(p.Adapter)
		if f == nil && adapter != p.Adapter {
			f = &fault{"an adapter is written module:Class", "write it as " + adapter}
		}
		if f != nil {
			return f.on(p.label("adapter " + show(p.Adapter)))
		}
		if p.Ready != "" {
			return (&fault{"the pool has no command", readyHint}).on(p.label("ready " + show(p.Ready)))
		}
		return nil
	}
	f := checkCommand(p.Command)
	if f == nil && p.Adapter != "" {
		f = &fault{"the pool has an adapter, too", eitherHint}
	}
	if f != nil {
		return f.on(p.label("command " + show(strings.Join(p.Command, " "))))
	}
	if f := checkReady(p.Ready); f != nil {
		return f.on(p.label("ready " + show(p.Ready)))
	}
	return nil
}
