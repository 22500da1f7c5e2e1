package pool

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxReadyLine bounds what a worker may say on its ready channel, in bytes.
const maxReadyLine = 16 << 10

// readyProtocol is the version of the ready channel that this package speaks.
const readyProtocol = 1

// Readiness is what a worker says of itself, once, on its ready channel.
type Readiness struct {
	Protocol int    `json:"protocol"`
	Ready    bool   `json:"ready"`
	PID      int    `json:"pid"`
	Port     int    `json:"port"`
	Kind     string `json:"kind"`    // of failure: "adapter_not_found", "port_in_use", …
	Message  string `json:"message"` // of failure, for a person
	Hint     string `json:"hint"`    // what to do about it
}

// errNoReadiness means that the ready channel closed before a word was said.
var errNoReadiness = errors.New("the worker ended before it was ready")

// parseReadiness reads the one line of a ready channel. It is strict: a line
// without its end, more behind it, an unknown field or a value that makes no
// sense is an error, never a guess. It waits for the line and not for the end
// of the channel, which a forked child of the worker may keep open.
func parseReadiness(r io.Reader) (Readiness, error) {
	lines := bufio.NewReaderSize(r, maxReadyLine)
	text, err := lines.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF) && len(text) == 0:
		return Readiness{}, errNoReadiness
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
		return Readiness{}, fmt.Errorf("cannot read the ready channel: %w", err)
	case err != nil || lines.Buffered() > 0:
		return Readiness{}, fmt.Errorf("cannot use the ready message: not one whole line of at most %d bytes", maxReadyLine)
	}
	var said Readiness
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&said); err != nil {
		return Readiness{}, fmt.Errorf("cannot use the ready message: %w", err)
	}
	if decoder.More() {
		return Readiness{}, errors.New("cannot use the ready message: more than one JSON value")
	}
	switch {
	case said.Protocol != readyProtocol:
		return Readiness{}, fmt.Errorf("cannot use the ready message: protocol %d, this snakepit speaks %d", said.Protocol, readyProtocol)
	case said.Ready && (said.Port < 1 || said.Port > 65535 || said.PID < 1):
		return Readiness{}, fmt.Errorf("cannot use the ready message: PID %d, port %d", said.PID, said.Port)
	case !said.Ready && (said.Kind == "" || said.Message == ""):
		return Readiness{}, errors.New("cannot use the ready message: a failure without kind and message")
	}
	return said, nil
}
