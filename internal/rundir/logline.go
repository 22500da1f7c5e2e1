package rundir

import (
	"strings"
	"time"
)

// logTime is RFC 3339 with milliseconds. Times are written in UTC, so that the
// lines of a log sort as text.
const logTime = "2006-01-02T15:04:05.000Z"

// LogLine is one line of a worker's output.
type LogLine struct {
	Time time.Time // when the line was complete; zero for a line without one
	Text string    // without the line break
}

func (l LogLine) String() string { return l.Time.UTC().Format(logTime) + " " + l.Text }

// ParseLogLine reads a line as a LogWriter writes it. For any other line it
// returns false and the whole of it as Text.
func ParseLogLine(line string) (LogLine, bool) {
	whole := LogLine{Text: line}
	stamp, text, ok := strings.Cut(line, " ")
	if !ok {
		return whole, false
	}
	t, err := time.Parse(logTime, stamp)
	if err != nil || t.Format(logTime) != stamp { // Parse takes a comma for the point
		return whole, false
	}
	return LogLine{Time: t, Text: text}, true
}
