package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ParseRecord reads one line of an event log. It accepts fields that it does
// not know, for those of later versions, and refuses what is no event: a line
// that was cut when its writer was killed, or that somebody else wrote.
func ParseRecord(line string) (Record, error) {
	var r Record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return Record{}, fmt.Errorf("cannot read an event: %w", err)
	}
	switch {
	case r.Event == "":
		return Record{}, errors.New("cannot read an event: it has no name")
	case r.Time.IsZero():
		return Record{}, errors.New("cannot read an event: it has no time")
	case r.Event == WorkerState && (r.Worker == "" || r.To == ""):
		return Record{}, errors.New("cannot read an event: it names no worker or no state")
	}
	return r, nil
}
