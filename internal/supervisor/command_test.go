package supervisor

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

var spec = pool.Spec{
	RunID: "demo", Pool: "default", Worker: "default-3", Incarnation: 2,
	Host: "127.0.0.1", Port: 4003, Grace: 1500 * time.Millisecond,
}

func TestWorkerCommand(t *testing.T) {
	t.Setenv("FROM_THE_SHELL", "yes")
	c := config.Config{PythonPath: []string{"/srv/a", "/srv/b"}}
	p := config.Pool{Name: "default", Adapter: "my:Adapter", Env: map[string]string{"MINE": "1"}}
	python := pyenv.Environment{Python: "/venv/bin/python", Entry: "/cache/worker/grpc_server.py"}
	got := workerCommand(c, p, python, "k")(spec)

	if got.Path != "/venv/bin/python" || got.Dir != "" {
		t.Errorf("it runs %s in %q", got.Path, got.Dir)
	}
	want := []string{
		"/cache/worker/grpc_server.py", "--adapter", "my:Adapter", "--host", "127.0.0.1", "--port", "4003",
		"--snakepit-run-id", "demo", "--worker-id", "default-3", "--grace", "1.5",
		"--python-path", "/srv/a", "--python-path", "/srv/b",
	}
	if diff := cmp.Diff(want, got.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	for _, entry := range []string{"FROM_THE_SHELL=yes", "MINE=1", "SNAKEPIT_RUN_ID=demo", "SNAKEPIT_RUN_KEY=k", "SNAKEPIT_WORKER_ID=default-3"} {
		if !slices.Contains(got.Env, entry) {
			t.Errorf("its environment has no %s", entry)
		}
	}
}

// Whoever looks for a run's processes must find a worker by what it is given.
func TestWorkerCommandCondemns(t *testing.T) {
	python := pyenv.Environment{Python: "/venv/bin/python", Entry: "/cache/worker/grpc_server.py"}
	got := workerCommand(config.Config{}, config.Pool{}, python, "k")(spec)
	m := procscan.ParseMarker(append([]string{got.Path}, got.Args...), got.Env)
	if m.RunID != "demo" || m.WorkerID != "default-3" || !m.Condemns || len(m.Signs) != 3 {
		t.Errorf("got %+v, want all three signs", m)
	}
}

func TestWorkerCommandWithoutGrace(t *testing.T) {
	s := spec
	s.Grace = -1
	args := workerCommand(config.Config{}, config.Pool{}, pyenv.Environment{}, "k")(s).Args
	if i := slices.Index(args, "--grace"); i < 0 || args[i+1] != "0" {
		t.Errorf("arguments %q, want --grace 0", args)
	}
}

// Over the defaults, what was inherited; over that, the pool's own; over all,
// the markers.
func TestWorkerEnv(t *testing.T) {
	defaults := map[string]string{"PYTHONUNBUFFERED": "1"}
	for _, name := range threadLimits {
		defaults[name] = "1"
	}
	for _, tt := range []struct {
		name      string
		inherited []string
		own       map[string]string
		want      map[string]string // beside the defaults and the markers
	}{
		{"nothing", nil, nil, nil},
		{"inherited", []string{"HOME=/root", "EMPTY=", "EQUALS=a=b"}, nil, map[string]string{"HOME": "/root", "EMPTY": "", "EQUALS": "a=b"}},
		{"inherited over defaults", []string{"OMP_NUM_THREADS=8", "PYTHONUNBUFFERED="}, nil, map[string]string{"OMP_NUM_THREADS": "8", "PYTHONUNBUFFERED": ""}},
		{"own over inherited", []string{"A=1", "MKL_NUM_THREADS=2"}, map[string]string{"A": "2", "MKL_NUM_THREADS": "4"}, map[string]string{"A": "2", "MKL_NUM_THREADS": "4"}},
		{"markers over all", []string{"SNAKEPIT_RUN_ID=outer"}, map[string]string{"SNAKEPIT_WORKER_ID": "x", "SNAKEPIT_RUN_ID": "y"}, nil},
		{"the ready file of another host", []string{"SNAKEPIT_READY_FILE=/tmp/x"}, nil, nil},
		{"asked for all the same", nil, map[string]string{"SNAKEPIT_READY_FILE": "/tmp/x"}, map[string]string{"SNAKEPIT_READY_FILE": "/tmp/x"}},
		{"no variable", []string{"NOTHING"}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := map[string]string{"SNAKEPIT_RUN_ID": "demo", "SNAKEPIT_WORKER_ID": "default-3", "SNAKEPIT_RUN_KEY": "k"}
			for _, more := range []map[string]string{defaults, tt.want} {
				for name, value := range more {
					all[name] = value
				}
			}
			var want []string
			for name, value := range all {
				want = append(want, name+"="+value)
			}
			slices.Sort(want)
			got := workerEnv(tt.inherited, tt.own, spec, "k")
			if sorted := slices.Sorted(slices.Values(got)); cmp.Diff(want, sorted) != "" {
				t.Errorf("-want +got:\n%s", cmp.Diff(want, sorted))
			}
		})
	}
}

func TestThreadLimits(t *testing.T) {
	for _, name := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} {
		if !slices.Contains(workerEnv(nil, nil, spec, "k"), name+"=1") {
			t.Errorf("%s is not limited", name)
		}
	}
}
