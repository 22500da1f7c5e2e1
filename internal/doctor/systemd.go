package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/snakepit-dev/snakepit/internal/config"
)

// systemd's own limits on a unit that runs a supervisor (systemd.service(5)).

// systemdDefault is DefaultTimeoutStopSec where nobody has set it.
const systemdDefault = 90 * time.Second

// unit is what matters of a service.
type unit struct {
	path     string
	notifies bool
	stop     time.Duration // 0: infinity
}

func (e *examination) systemd() {
	const name = "systemd"
	if !e.needsConfig(name) {
		return
	}
	units := findUnits(e.UnitDirs)
	if len(units) == 0 {
		e.skip(name, "no unit that runs snakepit start")
		return
	}
	for _, u := range units {
		e.tell(judgeUnit(u, e.Config))
	}
}

// findUnits reads the services that run "snakepit start". What cannot be read is
// not for this user.
func findUnits(dirs []string) []unit {
	var units []unit
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.service")) // fails for a bad pattern only
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil || !info.Mode().IsRegular() || info.Size() > 64<<10 {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			if u, ours := parseUnit(string(text)); ours {
				u.path = file
				units = append(units, u)
			}
		}
	}
	return units
}

// parseUnit reads a unit file; false: it does not start this program.
func parseUnit(text string) (unit, bool) {
	u := unit{stop: systemdDefault}
	ours := false
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || strings.HasPrefix(key, "#") || strings.HasPrefix(key, ";") {
			continue
		}
		switch key {
		case "ExecStart":
			ours = ours || startsUs(value)
		case "Type":
			u.notifies = strings.HasPrefix(value, "notify")
		case "TimeoutSec", "TimeoutStopSec":
			if d, err := parseSpan(value); err == nil { // systemd ignores what it cannot read
				u.stop = d
			}
		}
	}
	return u, ours
}

// startsUs finds the words "snakepit start" in a command line, with a path or
// without.
func startsUs(command string) bool {
	words := strings.Fields(strings.TrimLeft(command, "-@:+!|"))
	for i := 0; i+1 < len(words); i++ {
		if filepath.Base(words[i]) == "snakepit" && words[i+1] == "start" {
			return true
		}
	}
	return false
}

// parseSpan reads a time span (systemd.time(7)): "90", "1min 30s", "infinity". 0 is
// infinity, as systemd takes it.
func parseSpan(text string) (time.Duration, error) {
	if text == "infinity" {
		return 0, nil
	}
	units := map[string]time.Duration{
		"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
		"ms": time.Millisecond, "msec": time.Millisecond, "us": time.Microsecond, "usec": time.Microsecond,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
		"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	}
	var sum time.Duration
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, fmt.Errorf("%q is no time span", text)
	}
	for rest != "" {
		digits := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsDigit(r) && r != '.' })
		if digits < 0 {
			digits = len(rest)
		}
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no time span", text)
		}
		rest = strings.TrimLeft(rest[digits:], " \t")
		letters := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) })
		if letters < 0 {
			letters = len(rest)
		}
		one, known := units[rest[:letters]]
		if span := n * float64(one); !known || span > float64(1<<62) {
			return 0, fmt.Errorf("%q is no time span", text)
		}
		sum += time.Duration(n * float64(one))
		if sum < 0 {
			return 0, fmt.Errorf("%q is no time span", text)
		}
		rest = strings.TrimLeft(rest[letters:], " \t")
	}
	return sum, nil
}

// stopMargin is what a stop takes beside the grace time: the kill, the release of
// ports, and two scans of the machine.
const stopMargin = time.Second

func judgeUnit(u unit, c config.Config) Check {
	needs := c.Grace + c.ReleaseTimeout + stopMargin
	check := Check{
		Name: "systemd", State: OK,
		Evidence: fmt.Sprintf("%s: TimeoutStopSec is %s, and a stop takes up to %v (grace %v, release %v)", u.path, span(u.stop), needs, c.Grace, c.ReleaseTimeout),
	}
	switch {
	case u.notifies:
		check.Evidence = u.path + ": Type=notify: the run asks systemd for the time that it needs"
	case u.stop > 0 && u.stop < needs:
		check.State = Fail
		check.Evidence += ": systemd kills the supervisor before it has looked"
		check.Hint = fmt.Sprintf("TimeoutStopSec=%d in the unit, or a shorter --grace", int(seconds(2*needs).Seconds()))
	}
	return check
}

func span(d time.Duration) string {
	if d == 0 {
		return "infinity"
	}
	return d.String()
}
