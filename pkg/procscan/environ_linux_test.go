package procscan

import (
	"errors"
	"os"
	"slices"
	"testing"
)

func TestEnviron(t *testing.T) {
	self, err := Lookup(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	env, err := Environ(t.Context(), self)
	if err != nil || !slices.Contains(env, "PATH="+os.Getenv("PATH")) {
		t.Errorf("%q, %v", env, err)
	}
	other := self
	other.Start++ // the number is another's by now
	for _, id := range []ID{other, {}, {PID: -1}} {
		if env, err := Environ(t.Context(), id); !errors.Is(err, ErrGone) || env != nil {
			t.Errorf("%+v: %q, %v", id, env, err)
		}
	}
}
