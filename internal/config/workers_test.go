package config

import (
	"errors"
	"testing"
)

func TestParseWorkers(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		err  string // "" when there is none
	}{
		{"1", 1, ""},
		{"4096", 4096, ""},
		{"0", 0, "cannot use the number of workers 0: the number of workers must be from 1 to 4096"},
		{"-1", 0, "cannot use the number of workers -1: the number of workers must be from 1 to 4096"},
		{"4097", 0, "cannot use the number of workers 4097: the number of workers must be from 1 to 4096"},
		{"two", 0, "cannot use the number of workers two: it is not a whole number"},
		{"2.5", 0, "cannot use the number of workers 2.5: it is not a whole number"},
		{"99999999999999999999", 0, "cannot use the number of workers 99999999999999999999: it is not a whole number"},
		{"", 0, `cannot use the number of workers "": it is not a whole number`},
	} {
		n, err := ParseWorkers(tt.text)
		got := ""
		if err != nil {
			got = err.Error()
			var setting *Error
			if !errors.As(err, &setting) || setting.Hint == "" {
				t.Errorf("%q: no hint: %v", tt.text, err)
			}
		}
		if n != tt.n || got != tt.err {
			t.Errorf("ParseWorkers(%q) = %d, %q; want %d, %q", tt.text, n, got, tt.n, tt.err)
		}
	}
}
