package pool

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestParseReadiness(t *testing.T) {
	good := `{"protocol":1,"ready":true,"pid":12,"port":4000}`
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"ready", good + "\n", true},
		{"failure", `{"protocol":1,"ready":false,"kind":"k","message":"m","hint":""}` + "\n", true},
		{"no line end: half written", good, false},
		{"half written", good[:20], false},
		{"two lines", good + "\n" + good + "\n", false},
		{"two values on a line", good + good + "\n", false},
		{"unknown field", `{"protocol":1,"ready":true,"pid":1,"port":1,"x":1}` + "\n", false},
		{"other protocol", `{"protocol":2,"ready":true,"pid":1,"port":1}` + "\n", false},
		{"no port", `{"protocol":1,"ready":true,"pid":1}` + "\n", false},
		{"port too high", `{"protocol":1,"ready":true,"pid":1,"port":65536}` + "\n", false},
		{"no PID", `{"protocol":1,"ready":true,"port":1}` + "\n", false},
		{"failure without reason", `{"protocol":1,"ready":false}` + "\n", false},
		{"too long", `{"protocol":1,"ready":false,"kind":"k","message":"` + strings.Repeat("x", maxReadyLine) + "\"}\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseReadiness(strings.NewReader(tt.text)); (err == nil) != tt.ok {
				t.Errorf("error %v, want none: %v", err, tt.ok)
			}
		})
	}
	if _, err := parseReadiness(strings.NewReader("")); !errors.Is(err, errNoReadiness) {
		t.Errorf("nothing said: %v", err)
	}
}

// The line is enough: who else holds the channel open does not matter.
func TestParseReadinessWaitsForTheLineOnly(t *testing.T) {
	channel, worker := io.Pipe()
	defer channel.Close()
	go func() { _, _ = io.WriteString(worker, `{"protocol":1,"ready":true,"pid":12,"port":4000}`+"\n") }()
	if said, err := parseReadiness(channel); err != nil || said.PID != 12 {
		t.Errorf("got %+v, %v", said, err)
	}
}

func FuzzParseReadiness(f *testing.F) {
	f.Add(`{"protocol":1,"ready":true,"pid":12,"port":4000}` + "\n")
	f.Add(`{"protocol":1,"ready":false,"kind":"k","message":"m"}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		said, err := parseReadiness(strings.NewReader(text))
		if err != nil {
			return
		}
		if said.Ready && (said.Port < 1 || said.Port > 65535 || said.PID < 1) {
			t.Errorf("%q passed as %+v", text, said)
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%q passed, and is no JSON", text)
		}
	})
}

// Whatever a worker calls an error, something readable comes of it.
func FuzzParseToolError(f *testing.F) {
	f.Add(`{"type":"ValueError","message":"m","traceback":"t"}`)
	f.Add("plain text")
	f.Fuzz(func(t *testing.T, text string) {
		if e := parseToolError(text); e.Type == "" {
			t.Errorf("%q became %+v", text, e)
		}
	})
}
