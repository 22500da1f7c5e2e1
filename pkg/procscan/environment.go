package procscan

import (
	"bytes"
	"strings"
	"unicode"
)

// EnvState says in what state the environment of a process is, as its memory
// shows it.
type EnvState string

// The states of an environment.
const (
	EnvUnknown     EnvState = ""            // it was not looked at, or cannot be
	EnvWhole       EnvState = "whole"       // a list of NAME=VALUE, as execve(2) made it
	EnvOverwritten EnvState = "overwritten" // something else lies there, as after setproctitle(3)
	EnvEmpty       EnvState = "empty"
)

// parseEnvState looks at the memory that held the environment at the start of the
// program. Who changes its title writes over all of it: one entry that is none
// tells.
func parseEnvState(raw []byte) EnvState {
	if len(raw) == 0 {
		return EnvEmpty
	}
	for entry := range bytes.SplitSeq(bytes.TrimSuffix(raw, []byte{0}), []byte{0}) {
		name, _, found := strings.Cut(string(entry), "=")
		if !found || name == "" || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return EnvOverwritten
		}
	}
	return EnvWhole
}
