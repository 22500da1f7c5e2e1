package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/guard"
)

func readUnit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "systemd", "snakepit@.service"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// setting is the value of a line of the unit; "" without it.
func setting(unit, name string) string {
	m := regexp.MustCompile(`(?m)^` + name + `=-?(.*)$`).FindStringSubmatch(unit)
	if m == nil {
		return ""
	}
	return m[1]
}

// systemd's own reader finds nothing wrong with the unit.
func TestUnitIsVerified(t *testing.T) {
	analyze := program(t, "systemd-analyze", "the package systemd")
	binary, err := os.Executable() // the unit names one that exists
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.ReplaceAll(readUnit(t), "/usr/bin/snakepit", binary)
	file := filepath.Join(t.TempDir(), "snakepit@.service")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "snakepit@") {
		t.Errorf("%v: %s", err, out)
	}
}

// A stop that takes all of the time which it may has to end by itself.
func TestUnitLeavesTimeToStop(t *testing.T) {
	const grace = config.DefaultGrace
	limit, err := time.ParseDuration(strings.Replace(setting(readUnit(t), "TimeoutStopSec"), "min", "m", 1))
	if err != nil || limit < 2*grace+guard.Patience {
		t.Errorf("TimeoutStopSec is %v (%v), and a stop may take %v, and the guard %v", limit, err, 2*grace, guard.Patience)
	}
}

// What the unit starts is a service: with the directories that systemd makes in its
// place, and a configuration.
func TestUnitStarts(t *testing.T) {
	s, id := newCrashSandbox(t), newRunID(t)
	s.beside(t, id)
	base := filepath.Dir(s.dir)
	if err := os.WriteFile(filepath.Join(base, id+".yaml"), []byte("pools: {default: {workers: 1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("%i", id, "%S", filepath.Join(base, "state"), "%t", filepath.Join(base, "run"),
		"/etc/snakepit/", base+"/", "/usr/bin/snakepit ", "")
	unit := readUnit(t)
	// The cache stays the user's: an environment for Python is in it.
	for entry := range strings.FieldsSeq(fill.Replace(setting(unit, "Environment"))) {
		if !strings.HasPrefix(entry, "XDG_CACHE_HOME=") {
			s.env = append(s.env, entry)
		}
	}
	m := newServiceManager(t, filepath.Join(s.dir, "notify"))
	service := m.service(s.command(strings.Fields(fill.Replace(setting(unit, "ExecStart")))...))
	mustStart(t, service)
	m.until("READY=1")
	if err := service.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = service.Wait() // it was killed
	s.mustRun(t, "", strings.Fields(fill.Replace(setting(unit, "ExecStopPost")))...)
	if out := s.mustRun(t, "", "list", "--run-id", id); !strings.Contains(out, "its supervisor died at") {
		t.Errorf("what follows the end of the service has not settled the run: %s", out)
	}
	s.mustBeClean(t)
}

// The script of the packages makes the user of the unit, also where dpkg installs
// into another root.
func TestPackagesMakeTheUser(t *testing.T) {
	program(t, "systemd-sysusers", "the package systemd")
	root := t.TempDir()
	copyFile(t, filepath.Join("..", "docs", "systemd", "snakepit.conf"), filepath.Join(root, "usr", "lib", "sysusers.d", "snakepit.conf"))
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	install := exec.Command("sh", filepath.Join("..", "docs", "systemd", "postinstall.sh"))
	install.Env = append(os.Environ(), "DPKG_ROOT="+root)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	user := setting(readUnit(t), "User")
	users, err := os.ReadFile(filepath.Join(root, "etc", "passwd"))
	if err != nil || !strings.HasPrefix(string(users), user+":") {
		t.Errorf("no user %s: %v %q", user, err, users)
	}
}
