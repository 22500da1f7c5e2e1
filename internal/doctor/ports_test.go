package doctor

import (
	"net"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// examinePorts is the check of ports alone.
func examinePorts(t *testing.T, s Subject) Check {
	t.Helper()
	var got []Check
	e := &examination{Subject: s, tell: func(c Check) { got = append(got, c) }}
	e.ports(t.Context())
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	return got[0]
}

// A worker of a living run keeps its port while it has no process: the port is not
// free, and is not bound to find that out.
func TestKeptPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	root := t.TempDir()
	s := Subject{Runs: root, Config: config.Config{Host: "127.0.0.1", Pools: []config.Pool{{Name: "p", Workers: 1, BasePort: port}}}}
	check(t, examinePorts(t, s), Fail, "is held by PID", "snakepit ports")
	l.Close()
	check(t, examinePorts(t, s), OK, "1 port is free", "")

	run, err := rundir.Create(t.Context(), root, "demo")
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	registry, err := run.OpenRegistry()
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if err := registry.Put(rundir.Entry{Worker: "default-1", Pool: "default", Host: "127.0.0.1", Port: port}); err != nil {
		t.Fatal(err)
	}
	check(t, examinePorts(t, s), Fail, "is kept for worker default-1 of run demo, which has no process on it just now", "snakepit ports")
	s.Running = "demo"
	check(t, examinePorts(t, s), OK, "1 port is free", "")
}
