package cmd

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// screen is the size of the terminal that a writer leads to, in cells; zero
// where it leads elsewhere, and nothing is cut to any size.
type screen struct{ width, height int }

func screenOf(w io.Writer) screen {
	if !isTerminal(w) {
		return screen{}
	}
	width, height, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return screen{80, 24} // a terminal that does not know, such as a serial line
	}
	return screen{width, height}
}

func (s screen) terminal() bool { return s.width > 0 }

// outliveReader makes a write to a pipe without a reader an error in place of a
// signal that ends the program: what reads us (head, a pager) may have enough.
func outliveReader() { signal.Ignore(syscall.SIGPIPE) }

// unlessReaderLeft drops the error of a write that nobody wanted to read.
func unlessReaderLeft(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// readerLeft is closed when nobody reads any more what is written to a pipe: who
// waits for something to write would not learn it otherwise. The goroutine lasts
// as long as the pipe has a reader.
func readerLeft(w io.Writer) <-chan struct{} {
	file, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return nil
	}
	left := make(chan struct{})
	go func() {
		fds := []unix.PollFd{{Fd: int32(file.Fd())}} // POLLERR and POLLHUP are always reported
		for {
			n, err := unix.Poll(fds, -1)
			if n > 0 {
				close(left)
			}
			if n > 0 || err != unix.EINTR {
				return
			}
		}
	}()
	return left
}

// escape matches every escape sequence of ECMA-48, whole or cut off: CSI, the
// kinds that carry a string, and the short ones.
var escape = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)`)

// colours is "select graphic rendition", the one sequence that only colours.
var colours = regexp.MustCompile(`^\x1b\[[0-9;:]*m$`)

// harmless removes what would steer a terminal (escape sequences, control
// characters) from text that we did not write. Colours may stay, if asked for;
// the result then ends with the colours reset.
func harmless(text string, keepColours bool) string {
	coloured := false
	text = escape.ReplaceAllStringFunc(text, func(sequence string) string {
		if !keepColours || !colours.MatchString(sequence) {
			return ""
		}
		coloured = true
		return sequence
	})
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\x1b' { // what is left of those are colours
			return -1
		}
		return r
	}, text)
	if coloured {
		text += ansi.ResetStyle
	}
	return text
}
