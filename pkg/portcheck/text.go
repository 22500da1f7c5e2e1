package portcheck

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how many characters of a command line are shown.
const longest = 80

// String names the owner for a person, so that it follows on "held by".
func (o Owner) String() string {
	if o.PID == 0 {
		return o.unseen()
	}
	command := o.Command
	if command == "" {
		command = "unknown command"
	}
	text := fmt.Sprintf("PID %d (%s)", o.PID, shorten(command))
	if o.User != "" {
		text += ", user " + o.User
	}
	switch {
	case o.RunID == "":
	case o.Worker == "":
		text += ", of run " + o.RunID
	default: // not "is": what a worker starts has its marker, too
		text += ", of worker " + o.Worker + " of run " + o.RunID
	}
	return text
}

func (o Owner) unseen() string {
	user := ""
	if o.User != "" {
		user = " (user " + o.User + ")"
	}
	switch o.Unseen {
	case Denied:
		return "another user's process, which may not be looked into from here" + user
	case Closed:
		return "nobody any more: the kernel still keeps a closed connection (" + o.State + ")"
	default:
		return "nobody who is to be seen from here" + user + ": a process in another PID namespace, or a descriptor that was passed on and not taken yet"
	}
}

// shorten leaves directories out before it cuts: those of interpreter and script
// alone are often longer than that, and say the least.
func shorten(command string) string {
	if utf8.RuneCountInString(command) <= longest {
		return command
	}
	words := strings.Split(command, " ")
	for i, word := range words {
		if slash := strings.LastIndex(word, "/"); slash > 0 && word[0] == '/' {
			words[i] = "…" + word[slash:]
		}
	}
	runes := []rune(strings.Join(words, " "))
	if len(runes) <= longest {
		return string(runes)
	}
	return string(runes[:longest-1]) + "…"
}

// printable replaces what would act on a terminal: anybody may name a process.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
