package doctor

import (
	"os"
	"path/filepath"
	"testing"
)

// machine writes files below a root of its own.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestReadCgroup(t *testing.T) {
	two := map[string]string{
		"proc/self/cgroup":                                "0::/user.slice/app.scope\n",
		"proc/self/mountinfo":                             "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/user.slice/memory.max":             "536870912\n",
		"sys/fs/cgroup/user.slice/memory.current":         "1048576\n",
		"sys/fs/cgroup/user.slice/app.scope/memory.max":   "max\n",
		"sys/fs/cgroup/user.slice/pids.max":               "900\n",
		"sys/fs/cgroup/user.slice/app.scope/pids.max":     "64\n",
		"sys/fs/cgroup/user.slice/app.scope/pids.current": "7\n",
	}
	one := map[string]string{
		"proc/self/cgroup":                    "8:pids:/\n4:memory:/box\n0::/\n",
		"proc/self/mountinfo":                 "31 23 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n32 23 0:28 / /cg/pids rw - cgroup cgroup rw,pids\n",
		"cg/memory/box/memory.limit_in_bytes": "268435456\n",
		"cg/memory/memory.limit_in_bytes":     "9223372036854771712\n",
		"cg/pids/pids.max":                    "max\n",
	}
	for _, tt := range []struct {
		files      map[string]string
		controller string
		want       cgroupLimit
		found      bool
	}{
		{two, "memory", cgroupLimit{536870912, 1048576, "/sys/fs/cgroup/user.slice/memory.max"}, true},
		{two, "pids", cgroupLimit{64, 7, "/sys/fs/cgroup/user.slice/app.scope/pids.max"}, true},
		{one, "memory", cgroupLimit{268435456, 0, "/cg/memory/box/memory.limit_in_bytes"}, true},
		{one, "pids", cgroupLimit{}, false},
		{nil, "memory", cgroupLimit{}, false},
	} {
		got, found := readCgroup(machine(t, tt.files), tt.controller)
		if got != tt.want || found != tt.found {
			t.Errorf("%s: %+v, %v; want %+v", tt.controller, got, found, tt.want)
		}
	}
}

func FuzzCgroups(f *testing.F) {
	f.Add("0::/a/b\n", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	f.Add("4:memory:/box\n", "31 23 0:27 /box /cg rw - cgroup cgroup rw,memory\n")
	f.Fuzz(func(t *testing.T, membership, mounts string) {
		path, version := cgroupOf(membership, "memory")
		if point, below := mountOf(mounts, version, "memory", path); point != "" && !filepath.IsLocal(below) {
			t.Errorf("%q leads away from %q", below, point)
		}
	})
}
