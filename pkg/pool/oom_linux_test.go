package pool

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMembership(t *testing.T) {
	for _, tt := range []struct {
		name, text, path string
		version          int
	}{
		{"version 2", "0::/user.slice/app.service\n", "/user.slice/app.service", 2},
		{"version 1", "9:name=systemd:/\n4:memory:/a/b\n1:cpu,cpuacct:/\n", "/a/b", 1},
		{"several controllers", "3:cpuset,memory:/m\n0::/unified\n", "/m", 1},
		{"both, and memory in version 2", "5:freezer:/\n1:name=systemd:/x\n0::/y\n", "/y", 2},
		{"a colon in the name", "0::/a:b\n", "/a:b", 2},
		{"a controller of a like name", "2:memory2:/x\n", "", 0},
		{"nothing", "", "", 0},
		{"no such lines", "x\n", "", 0},
	} {
		if path, version := parseMembership([]byte(tt.text), "memory"); path != tt.path || version != tt.version {
			t.Errorf("%s: got %q of version %d", tt.name, path, version)
		}
	}
}

func TestParseMounts(t *testing.T) {
	const (
		v2        = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		v1        = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
		container = "32 31 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
		elsewhere = "29 23 0:26 /other /mnt/part rw - cgroup2 cgroup2 rw\n"
		spaces    = `33 31 0:26 / /mnt/my\040groups rw - cgroup2 cgroup2 rw` + "\n"
	)
	for _, tt := range []struct {
		name, text  string
		version     int
		path        string
		point, want string
	}{
		{"version 2", v2, 2, "/a/b", "/sys/fs/cgroup", "a/b"},
		{"its root", v2, 2, "/", "/sys/fs/cgroup", "."},
		{"version 1", v1, 1, "/a", "/sys/fs/cgroup/memory", "a"},
		{"the other version is mounted", v1, 2, "/a", "", ""},
		{"and the other way round", v2, 1, "/a", "", ""},
		{"a container's part", container, 1, "/docker/abc/w", "/sys/fs/cgroup/memory", "w"},
		{"out of the container's part", container, 1, "/docker/abcd", "", ""},
		{"above the namespace", v2, 2, "/../x", "/sys/fs/cgroup", "x"},
		{"another part first", elsewhere + v2, 2, "/a", "/sys/fs/cgroup", "a"},
		{"spaces", spaces, 2, "/a", "/mnt/my groups", "a"},
		{"nonsense", "x - y\n\n - \n", 2, "/a", "", ""},
	} {
		if point, below := parseMounts([]byte(tt.text), tt.version, "memory", tt.path); point != tt.point || below != tt.want {
			t.Errorf("%s: got %q, %q", tt.name, point, below)
		}
	}
}

func TestParseKills(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       int
		ok         bool
	}{
		{"version 2", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n", 3, true},
		{"version 1", "oom_kill_disable 1\nunder_oom 0\noom_kill 12\n", 12, true},
		{"before Linux 4.13", "oom_kill_disable 0\nunder_oom 0\n", 0, false},
		{"no number", "oom_kill x\n", 0, false},
		{"half a line", "oom_kill", 0, false},
		{"nothing", "", 0, false},
	} {
		if got, ok := parseKills([]byte(tt.text)); got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %d, %v", tt.name, got, ok)
		}
	}
}

// A kill explains one death, and none of those launched after it.
func TestKillsExplainDeaths(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.events")
	count := func(kills int) {
		if err := os.WriteFile(file, fmt.Appendf(nil, "oom_kill %d\n", kills), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	count(4)
	var kills oomKills
	a, b := oomCounter{file, 4}, oomCounter{file, 4}
	if kills.explain(a) {
		t.Error("nobody was killed")
	}
	count(5)
	if !kills.explain(a) || kills.explain(b) {
		t.Error("one kill must explain one death")
	}
	count(7)
	if late := (oomCounter{file, 7 - kills.explained[file]}); kills.explain(late) {
		t.Error("a kill before its launch explains its death")
	}
	if !kills.explain(b) {
		t.Error("a kill is left, and does not explain the next death")
	}
	if kills.explain(oomCounter{}) || kills.explain(oomCounter{file: file + "x"}) {
		t.Error("without a counter nothing is known")
	}
}

// A counter that has risen explains a KILL of unknown origin, not one of ours, and
// no other end.
func TestWhoseKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.events")
	if err := os.WriteFile(file, []byte("oom_kill 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		end  func(launched) error
		want string
	}{
		{"somebody's", func(p launched) error { return syscall.Kill(p.ID().PID, syscall.SIGKILL) }, "SIGKILL (out of memory)"},
		{"ours", func(p launched) error { return p.SignalGroup(syscall.SIGKILL) }, "SIGKILL"},
		{"TERM", func(p launched) error { return syscall.Kill(p.ID().PID, syscall.SIGTERM) }, "SIGTERM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := launch(t, "only-term", 0)
			mustBeReady(t, p)
			p.mu.Lock()
			p.memory = oomCounter{file: file}
			p.mu.Unlock()
			if err := tt.end(p); err != nil {
				t.Fatal(err)
			}
			await(t, p.Done())
			if got := p.Exit().String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// The kernel ends a worker that takes too much, in a cgroup of its own. A sibling
// that is killed by hand afterwards has not run out of memory.
func TestOutOfMemory(t *testing.T) {
	group := memoryGroup(t)
	c := roleCommand("oom-host")(Spec{})
	host := exec.Command(c.Path, group)
	host.Env = c.Env
	host.Stderr = os.Stderr
	out, err := host.Output()
	if want := "SIGKILL (out of memory) out_of_memory\nSIGKILL signal\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}

// memoryLimit holds this test's program several times, in bytes; one worker takes all of it.
const memoryLimit = 512 << 20

// memoryGroup makes a cgroup with a memory limit below our own, or skips.
func memoryGroup(t *testing.T) string {
	t.Helper()
	counter := counterFile("/proc/self/cgroup")
	if counter == "" {
		t.Skip("no cgroup counts the memory of this process")
	}
	group := filepath.Join(filepath.Dir(counter), fmt.Sprintf("pool-test-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	limit, swap := "memory.limit_in_bytes", ""
	if filepath.Base(counter) == "memory.events" {
		limit, swap = "memory.max", "memory.swap.max"
	}
	if err := os.WriteFile(filepath.Join(group, limit), fmt.Append(nil, memoryLimit), 0); err != nil {
		t.Skipf("cannot limit the memory of a cgroup: %v", err)
	}
	if swap != "" { // with version 1 it may be swapped out first, which only takes longer
		_ = os.WriteFile(filepath.Join(group, swap), []byte("0"), 0)
	}
	return group
}

// oomHost moves into the cgroup and launches two workers there: one takes all
// memory, the other is killed. It says how each ended.
func oomHost() {
	if err := os.WriteFile(filepath.Join(os.Args[1], "cgroup.procs"), []byte("0"), 0); err != nil {
		fmt.Println(err)
		os.Exit(94)
	}
	l, err := NewExecLauncher(func(s Spec) Command { return roleCommand(s.Worker)(s) },
		func(Spec) (Output, error) { return newMemory(), nil })
	if err != nil {
		os.Exit(94)
	}
	sibling, err := l.Launch(context.Background(), Spec{Worker: "deaf"})
	if err != nil {
		os.Exit(94)
	}
	eater, err := l.Launch(context.Background(), Spec{Worker: "oom-eater"})
	if err != nil {
		os.Exit(94)
	}
	for _, p := range []Process{eater, sibling} {
		if p == sibling {
			_ = syscall.Kill(p.ID().PID, syscall.SIGKILL)
		}
		<-p.Done()
		fmt.Println(p.Exit(), p.Exit().Kind())
	}
}

// oomEater asks to be the victim, and takes memory until it is.
func oomEater() {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil {
		fmt.Println(strings.TrimSpace(err.Error()))
	}
	for range 2 * memoryLimit >> 20 {
		if _, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE); err != nil {
			os.Exit(95)
		}
	}
}
