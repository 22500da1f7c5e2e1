package cmd

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestProcOfAnotherNamespace: where /proc shows other processes than those that a
// signal would meet, nobody is looked at and nobody is killed.
func TestProcOfAnotherNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make a PID namespace")
	}
	s := newSandbox(t)
	e := leave(t, s, newRunID(t))
	for _, args := range [][]string{
		{"orphans", "--run-id", e.run},
		{"orphans", "--run-id", e.run, "--all", "-o", "json"},
		{"kill-orphans", "--run-id", e.run, "--yes"},
		{"kill-orphans", "--yes", "--grace", "0"},
	} {
		command := s.command(args...)
		var out, said bytes.Buffer
		command.Stdout, command.Stderr = &out, &said
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		err := command.Run()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
			t.Skip("no PID namespace can be made here: ", err)
		}
		if err := exitsWith("1", err); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		want := "error: cannot look: /proc belongs to another PID namespace; mount a proc of your own\n"
		if !strings.HasPrefix(said.String(), want) || out.Len() > 0 {
			t.Errorf("%v says %q and %q, want %q", args, out.String(), said.String(), want)
		}
	}
	if err := syscall.Kill(e.PID, 0); err != nil {
		t.Errorf("the worker was harmed: %v", err)
	}
}
