package chaos

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func portOf(t *testing.T, address string) int {
	t.Helper()
	port, err := strconv.Atoi(address[strings.LastIndex(address, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// startChild starts a shell that waits for the end of its input.
func startChild(t *testing.T, env []string, args ...string) process {
	t.Helper()
	cmd := exec.Command(shell, append([]string{"-c", "echo up; read x"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	p, err := lookup(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Our own look sees a process with what it carries, and by it whose it is.
func TestScanTellsWhoseAProcessIs(t *testing.T) {
	s := &stage{token: "tok" + unique(8), rand: source(1, "x"), opts: Options{Watcher: &journal{}}}
	id := "chaos-" + unique(8)
	r := s.newRunAs(id)
	mine := map[string]process{
		"token":    startChild(t, []string{tokenVariable + "=" + r.token}),
		"variable": startChild(t, []string{"SNAKEPIT_RUN_ID=" + id}),
	}
	others := map[string]process{
		"another token":   startChild(t, []string{tokenVariable + "=" + r.token + "0"}),
		"a longer id":     startChild(t, []string{"SNAKEPIT_RUN_ID=" + id + "2"}),
		"only arguments":  startChild(t, nil, "grpc_server.py", "--snakepit-run-id", id), // in an environment of its own
		"joined":          startChild(t, nil, "grpc_server.py", "--snakepit-run-id="+id),
		"in one argument": startChild(t, nil, "# --snakepit-run-id "+id),
		"a decoy":         startChild(t, []string{"SNAKEPIT_RUN_ID=" + id}),
	}
	s.decoys = append(s.decoys, &decoy{process: others["a decoy"]})
	found, err := r.processes()
	if err != nil {
		t.Fatal(err)
	}
	is := map[ident]bool{}
	for _, p := range found {
		is[p.ident] = true
	}
	for what, p := range mine {
		if !is[p.ident] {
			t.Errorf("%s: not seen", what)
		}
	}
	for what, p := range others {
		if is[p.ident] {
			t.Errorf("%s: taken for one of the run", what)
		}
	}
}

// A signal goes to a process, and to nobody who has got its number.
func TestSendAsksForIdentity(t *testing.T) {
	p := startChild(t, nil)
	other := p.ident
	other.start++
	if err := send(other, syscall.SIGKILL); !errors.Is(err, errGone) || !alive(p.ident) {
		t.Fatalf("%v; it is alive: %v", err, alive(p.ident))
	}
	if alive(other) {
		t.Error("one of another start is alive")
	}
	if err := freeze(p); err != nil {
		t.Fatal(err)
	}
	if now, err := lookup(p.pid); err != nil || !now.halted() {
		t.Errorf("%+v, %v", now, err)
	}
	if err := send(p.ident, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !await(t.Context(), noticeLimit, func() bool { return !alive(p.ident) }) {
		t.Error("it lives")
	}
	if err := freeze(p); err == nil {
		t.Error("a dead process was frozen")
	}
}
