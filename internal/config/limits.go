package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Limits: how often, how long, how much.

// parseRestarts reads "3/5s": a count, and the window it is for.
func parseRestarts(text string) (count int, window time.Duration, f *fault) {
	first, second, ok := strings.Cut(text, "/")
	count, err := strconv.Atoi(first)
	if ok && err == nil {
		window, err = time.ParseDuration(second)
	}
	if !ok || err != nil {
		return 0, 0, &fault{"it is not written COUNT/WINDOW", restartsHint}
	}
	return count, window, checkRestarts(count, window)
}

func checkRestarts(count int, window time.Duration) *fault {
	switch {
	case count < 0:
		return &fault{"the number of restarts cannot be negative", restartsHint}
	case window <= 0:
		return &fault{"the window must be longer than zero", restartsHint}
	}
	return nil
}

const restartsHint = "give a number of restarts and a window, such as 3/5s; 0/5s gives a worker up when it first ends unasked"

func formatRestarts(count int, window time.Duration) string {
	return fmt.Sprintf("%d/%v", count, window)
}

func checkReleaseTimeout(d time.Duration) *fault {
	if d > 0 {
		return nil
	}
	return &fault{
		"the release timeout must be longer than zero",
		"give a duration such as 2s; a restart that waits for nothing is --resource-cleanup off",
	}
}

// minHealthInterval is short enough for any test, and keeps a forgotten unit from
// busying everybody.
const minHealthInterval = 10 * time.Millisecond

func checkHealthInterval(d time.Duration) *fault {
	if d == 0 || d >= minHealthInterval {
		return nil
	}
	if d > 0 {
		return &fault{fmt.Sprintf("workers cannot be asked that often: at least %v", minHealthInterval), "give a duration such as 5s, or 0s for no health checks"}
	}
	return &fault{"the health interval cannot be negative", "give a duration such as 5s, or 0s for no health checks"}
}

func checkHealthTimeout(d time.Duration) *fault {
	if d > 0 {
		return nil
	}
	return &fault{
		"the health timeout must be longer than zero",
		"give a duration such as 15s; without health checks a run has --health-interval 0s",
	}
}

// checkHealth compares the two: a worker that answers at once is silent for a
// whole interval until it is asked again.
func checkHealth(interval, timeout time.Duration) *fault {
	if interval <= 0 || timeout > interval {
		return nil
	}
	return &fault{
		fmt.Sprintf("workers are asked every %v only, so that a sound one would count as hung", interval),
		fmt.Sprintf("give a --health-timeout such as %v, or a --health-interval shorter than %v", 3*interval, timeout),
	}
}

// minMemory is less than any process of use takes. It is there for who has the
// unit wrong.
const minMemory = 1_000_000

func checkMemory(bytes uint64) *fault {
	if bytes == 0 || bytes >= minMemory {
		return nil
	}
	return &fault{"no process is that small: it must be at least 1MB", "give a size such as 512MB, or 0 for no limit"}
}

func checkTTL(d time.Duration) *fault {
	if d >= 0 {
		return nil
	}
	return &fault{"the time to live cannot be negative", "give a duration such as 1h, or 0s for no limit"}
}

func checkMaxCalls(n int) *fault {
	if n >= 0 {
		return nil
	}
	return &fault{"the number of calls cannot be negative", "give a whole number such as 1000, or 0 for no limit"}
}

var sizePattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`)

// parseSize returns bytes. Units of the SI count in thousands, those of
// IEC 80000-13, with an i, in 1024s. A number alone is refused: whoever thinks of
// megabytes would get a limit that every process is over.
func parseSize(text string) (uint64, *fault) {
	const hint = "give a size such as 512MB (millions of bytes) or 512MiB (1024 × 1024), or 0 for no limit"
	if text == "0" {
		return 0, nil
	}
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, &fault{"it is not a size", hint}
	}
	if m[2] == "" {
		return 0, &fault{"a size needs a unit", hint}
	}
	unit, ok := unitBytes(strings.ToUpper(m[2]))
	if !ok {
		return 0, &fault{"there is no such unit as " + m[2], hint}
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil || n*unit >= math.MaxInt64 {
		return 0, &fault{"it is too large", hint}
	}
	return uint64(math.Round(n * unit)), nil
}

func unitBytes(unit string) (float64, bool) {
	if unit == "B" {
		return 1, true
	}
	power := strings.IndexByte("KMGT", unit[0]) + 1
	if power == 0 {
		return 0, false
	}
	switch unit[1:] {
	case "", "B":
		return math.Pow(1000, float64(power)), true
	case "I", "IB":
		return math.Pow(1024, float64(power)), true
	}
	return 0, false
}
