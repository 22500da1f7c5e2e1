package doctor

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/orphans"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// check wants a state, words of the evidence, and words of the hint.
func check(t *testing.T, got Check, state State, evidence, hint string) {
	t.Helper()
	if got.State != state || !strings.Contains(got.Evidence, evidence) || !strings.Contains(got.Hint, hint) {
		t.Errorf("got %+v\nwant %s, %q, %q", got, state, evidence, hint)
	}
	if got.State == Fail && got.Hint == "" {
		t.Errorf("nothing to type: %+v", got)
	}
}

func TestLimits(t *testing.T) {
	files := pool.Limit{What: "open files", Need: 364, Allowed: 364, Raise: "ulimit -n 364"}
	of := func(l ...pool.Limit) []pool.Limit { return l }
	check(t, judgeLimits("descriptors", of(files), 50, false), OK, "50 workers: up to 364 open files, and 364 are allowed", "")
	files.Allowed--
	check(t, judgeLimits("descriptors", of(files), 50, false), Fail, "363 are allowed", "ulimit -n 364; or start fewer workers")
	roomy := pool.Limit{What: "threads on this machine", Need: 100, Used: 900, Allowed: 10000}
	tight := pool.Limit{What: "threads of this user", Need: 100, Used: 901, Allowed: 1000, Raise: "ulimit -u 1001"}
	check(t, judgeLimits("processes", of(roomy, tight), 1, false), Fail, "1 worker: up to 100 threads of this user, and 1000 are allowed, 901 of them in use", "ulimit -u 1001")
	check(t, judgeLimits("processes", of(tight, roomy), 1, true), OK, "of this user", "")
	check(t, judgeLimits("processes", nil, 1, false), Skipped, "does not tell", "")
}

func TestCgroups(t *testing.T) {
	allowed := cgroupLimit{max: 512e6, current: 7, file: "/cg/memory.max"}
	fits := []share{{"a", 4, 100e6, "max_memory"}}
	check(t, judgeMemory(allowed, fits), OK, "445 MB of the 512 MB in /cg/memory.max; a: 4 × 100 MB (max_memory)", "")
	check(t, judgeMemory(allowed, append(fits, share{"b", 1, 80e6, "after the import alone"})), Fail, "525 MB of the 512 MB", "MemoryMax=")
	check(t, judgeMemory(allowed, []share{{"c", 100, 0, ""}}), OK, "45 MB", "")
}

func TestPlaces(t *testing.T) {
	sound := place{path: "/s", mode: 0o700, uid: 7, free: 500e9, inodes: 1e6}
	but := func(change func(*place)) Check {
		p := sound
		change(&p)
		return judgePlace("state directory", "XDG_STATE_HOME", "/s", p, 7, 100e6)
	}
	check(t, but(func(*place) {}), OK, "writable, mode 0700; 500 GB free", "")
	check(t, but(func(p *place) { p.missing = true; p.uid = 0; p.mode = 0o755 }), OK, "can be made", "")
	check(t, but(func(p *place) { p.kind = syscall.ENOTDIR }), Fail, "not a directory", "XDG_STATE_HOME")
	check(t, but(func(p *place) { p.readOnly = true }), Fail, "read-only", "XDG_STATE_HOME")
	check(t, but(func(p *place) { p.denied = syscall.EACCES }), Fail, "not writable for this user", "ls -ld /s")
	check(t, but(func(p *place) { p.uid = 8 }), Fail, "belongs to user id 8, not to 7", "chown")
	check(t, but(func(p *place) { p.mode = 0o720 }), Fail, "others may write", "chmod 700 /s")
	check(t, but(func(p *place) { p.mode = 0o750 }), Warn, "others may read it", "chmod 700 /s")
	check(t, but(func(p *place) { p.free = 9e6 }), Fail, "9 MB and", "df -h /s")
	check(t, but(func(p *place) { p.inodes = 3 }), Fail, "3 inodes left", "df -i /s")
	check(t, but(func(p *place) { p.free = 99e6 }), Warn, "may take 100 MB in time", "df -h")
}

func TestClocks(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	sound := clocks{started: at.Add(-time.Second), now: at, built: at.Add(-24 * time.Hour)}
	but := func(change func(*clocks)) Check {
		c := sound
		change(&c)
		return judgeClock(c)
	}
	check(t, but(func(*clocks) {}), OK, "2026-05-01T12:00:00Z", "")
	check(t, but(func(c *clocks) { c.lookup = fmt.Errorf("x: %w", procscan.ErrOtherNamespace) }), Fail, "another PID namespace", "mount -t proc")
	check(t, but(func(c *clocks) { c.lookup = syscall.EACCES }), Fail, "cannot be told apart: permission denied", "boot_id")
	check(t, but(func(c *clocks) { c.now = at.Add(-48 * time.Hour) }), Fail, "before this program was built (2026-04-30)", "set-ntp")
	check(t, but(func(c *clocks) { c.built, c.now = time.Time{}, time.Unix(0, 0) }), Fail, "1970-01-01T00:00:00Z", "set-ntp")
	check(t, but(func(c *clocks) { c.started = at.Add(-30 * 24 * time.Hour) }), Fail, "started 720h0m0s ago", "CLK_TCK")
	check(t, but(func(c *clocks) { c.started = at.Add(time.Hour) }), Fail, "started -1h0m0s ago", "uptime")
	check(t, but(func(c *clocks) { c.jump = -time.Hour }), Warn, "set by -1h0m0s while", "timedatectl")
	check(t, but(func(c *clocks) { c.set, c.run = 2*time.Hour, "demo" }), Warn, "set by 2h0m0s since run demo", "timedatectl")
}

func TestJump(t *testing.T) {
	began := now()
	if d := began.jump(now()); d.Abs() > smallJump {
		t.Errorf("the clock of this machine was set by %v", d)
	}
	later := instant{time.Now().Add(time.Hour)} // both clocks go on
	if d := began.jump(later); d.Abs() > smallJump {
		t.Errorf("an hour by both clocks is taken for a jump of %v", d)
	}
}

func TestThreads(t *testing.T) {
	after := func(before, threads int, names ...string) imported {
		return imported{adapter: "a:B", Import: pyenv.Import{ThreadsBefore: before, Threads: threads, ThreadNames: names}}
	}
	check(t, judgeThreads(after(1, 1)), OK, "one thread", "")
	check(t, judgeThreads(after(1, 3, "x", "y")), Warn, "has 3 threads after its import (Python's: x, y)", "__init__")
	check(t, judgeThreads(after(1, 2)), Warn, "none of them Python's", "__init__")
	check(t, judgeThreads(after(2, 2)), Warn, "no worker can be forked", "sitecustomize")
	check(t, judgeThreads(after(0, 0)), Skipped, "does not tell", "")
}

func TestLeftovers(t *testing.T) {
	one := func(pid int, run string, v procscan.Verdict) orphans.Finding {
		return orphans.Finding{Process: procscan.Process{ID: procscan.ID{PID: pid}, State: 'S'}, RunID: run, Verdict: v}
	}
	none := orphans.Report{Scanned: 9, Unreadable: 2, Processes: []orphans.Finding{one(3, "x", procscan.Foreign)}}
	check(t, judgeLeftovers(none, config.OrphansKill), OK, "no orphans among 9 processes; 2 of other users", "")
	dead := orphans.Report{Processes: []orphans.Finding{one(3, "x", procscan.Orphan), one(4, "x", procscan.Orphan), one(5, "y", procscan.Stray)}}
	check(t, judgeLeftovers(dead, config.OrphansKill), Fail, "2 orphans of run x: PID 3, 4", "kill-orphans --run-id x; the next start")
	stray := orphans.Report{Processes: []orphans.Finding{one(5, "y", procscan.Stray)}}
	check(t, judgeLeftovers(stray, config.OrphansWarn), Warn, "1 stray of living run y: PID 5", "kill-orphans --run-id y --strays")
}

func TestTimeouts(t *testing.T) {
	sound := config.Config{
		ReadyTimeout: 30 * time.Second, Grace: 5 * time.Second, HealthInterval: 5 * time.Second, HealthTimeout: 15 * time.Second,
		MaxRestarts: 3, RestartWindow: 5 * time.Second, Pools: []config.Pool{{Name: "p"}},
	}
	if got := judgeTimeouts(sound, "a:B", 200*time.Millisecond); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	for _, tt := range []struct {
		change         func(*config.Config)
		took           time.Duration
		state          State
		evidence, hint string
	}{
		{func(*config.Config) {}, 31 * time.Second, Fail, "the import of a:B alone took 31s", "--ready-timeout 1m33s"},
		{func(*config.Config) {}, 16 * time.Second, Warn, "took 16s here", "--ready-timeout 48s"},
		{func(c *config.Config) { c.Pools[0].TTL = 30 * time.Second }, 0, Warn, "pool p: a worker is replaced when it is 30s old", "--ttl"},
		{func(c *config.Config) { c.HealthTimeout = 900 * time.Millisecond }, 0, Warn, "health_timeout 900ms", "--health-timeout 15s"},
		{func(c *config.Config) { c.MaxRestarts = 9 }, 0, OK, "", ""},
		{func(c *config.Config) { c.MaxRestarts = 20 }, 0, Warn, "20/5s gives nobody up", "--max-restarts 20/"},
	} {
		c := sound
		c.Pools = []config.Pool{{Name: "p"}}
		tt.change(&c)
		got := judgeTimeouts(c, "a:B", tt.took)
		if tt.state == OK && len(got) == 0 {
			continue
		}
		if len(got) != 1 {
			t.Fatalf("%+v", got)
		}
		check(t, got[0], tt.state, tt.evidence, tt.hint)
	}
}
