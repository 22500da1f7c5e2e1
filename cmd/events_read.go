package cmd

import (
	"slices"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// eventLine is an event and the line that tells of it.
type eventLine struct {
	raw string
	telemetry.Record
}

// eventReader reads the events of one run: those of the workers chosen, or all.
type eventReader struct {
	tail
	workers []string
	broken  int // lines that are no events
}

// parse skips, and counts, what is no event.
func (r *eventReader) parse(lines []rundir.LogLine) []eventLine {
	var events []eventLine
	for _, line := range lines {
		record, err := telemetry.ParseRecord(line.Text)
		switch {
		case err != nil:
			r.broken++
		case len(r.workers) == 0 || slices.Contains(r.workers, record.Worker):
			events = append(events, eventLine{line.Text, record})
		}
	}
	return events
}

// begin reads all there is, since only what was read can be chosen from. The
// file is never rotated.
func (r *eventReader) begin(n int) ([]eventLine, error) {
	events, err := r.all()
	return lastOf(events, n), err
}

// changed reads whatever has changed: a read without news is cheap.
func (r *eventReader) changed(path string) ([]eventLine, error) {
	if path != r.path {
		return nil, nil
	}
	return r.all()
}

func (r *eventReader) all() ([]eventLine, error) {
	lines, err := r.read()
	return r.parse(lines), err
}

// finish reads the rest, with a line that nobody will end any more.
func (r *eventReader) finish() ([]eventLine, error) {
	events, err := r.all()
	return append(events, r.parse(r.unfinished())...), err
}

func lastOf(events []eventLine, n int) []eventLine {
	return events[max(0, len(events)-n):]
}
