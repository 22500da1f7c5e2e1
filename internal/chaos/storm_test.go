package chaos

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who is in a slot: whom the registry names, forked or not, and who carries its name
// and only starts. A process that workers are forked from, one that stands by, and
// the child of a worker are in none.
func TestSlotsOf(t *testing.T) {
	const supervisor, server = 10, 20
	made := func(pid, ppid, pgid int, env ...string) process {
		return process{ident: ident{pid: pid}, ppid: ppid, pgid: pgid, env: append(env, "SNAKEPIT_RUN_ID=x"), args: []string{"python"}}
	}
	named := func(slot string) string { return "SNAKEPIT_WORKER_ID=" + slot }
	mine := []process{
		{ident: ident{pid: supervisor}, pgid: supervisor, args: []string{"snakepit", "supervise"}},
		made(server, supervisor, server),
		made(21, server, 21), made(22, server, 22), // a worker, and one that stands by
		made(31, supervisor, 31, named("default-1")), made(32, supervisor, 32, named("default-2")), // the second one starts
		made(33, 31, 31, named("default-1")), made(34, 31, 34, named("default-1")), // children
	}
	entries := []entryFile{{Worker: "default-0", PID: 21}, {Worker: "default-1", PID: 31}, {Worker: "default-2"}}
	got := map[int]string{}
	for _, w := range slotsOf(mine, entries) {
		got[w.pid] = w.slot
	}
	if diff := cmp.Diff(map[int]string{21: "default-0", 31: "default-1", 32: "default-2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A process is known to hold a socket that it listens on.
func TestHolds(t *testing.T) {
	listener, err := bind("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sockets := listeners(portOf(t, listener.Addr().String()))
	if len(sockets) == 0 {
		t.Skip("sockets cannot be told apart here")
	}
	s := &stage{}
	me := process{ident: ident{pid: s.self()}}
	if !me.holds(sockets) || me.holds([]string{"1"}) || me.holds(nil) {
		t.Errorf("it holds %v: %v", sockets, me.holds(sockets))
	}
}
