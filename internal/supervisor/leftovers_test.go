package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

func newRunID(t *testing.T) string {
	t.Helper()
	id, err := config.NewRunID()
	if err != nil {
		t.Fatal(err)
	}
	return "t-" + id
}

// shell runs a script, as a program of that name with that first argument, until
// its input ends with the test. It returns its PID and the number that it says
// first.
func shell(t *testing.T, name, argument, script string, env ...string) (pid, said int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, argument), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh")
	cmd.Args = []string{name, argument}
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), os.Stderr
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
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if said, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, said
}

func markersOf(run string) []string {
	return []string{procscan.RunIDEnv + "=" + run, procscan.WorkerIDEnv + "=default-0"}
}

// A process that names the run and whose parent lives is no leftover: there is
// another run of that name, which can be stopped in good order if it is one of
// ours.
func TestNameOfALivingRun(t *testing.T) {
	for name, tt := range map[string]struct {
		program, argument string
		stop              bool
	}{
		"a supervisor":  {"/usr/bin/snakepit", "supervise", true},
		"a guard":       {"/usr/bin/snakepit", "guard", false},
		"another host":  {"beam.smp", "start", false},
		"a login shell": {"-sh", "supervise", false},
	} {
		t.Run(name, func(t *testing.T) {
			run := newRunID(t)
			worker := strings.Join(markersOf(run), " ") + " sh -c 'echo $$; exec sleep 600' & read x; kill $!"
			host, pid := shell(t, tt.program, tt.argument, worker)
			err := refuseLeftovers(t.Context(), run, nil, nil)
			var taken *NameTakenError
			if !errors.As(err, &taken) || !slices.Equal(taken.PIDs, []int{pid}) || taken.Host.PID != host {
				t.Fatalf("got %v, want that PID %d and its parent %d live", err, pid, host)
			}
			want := fmt.Sprintf("another run has this name: 1 process of it, PID %d, and their parent, PID %d (%s), live",
				pid, host, strings.TrimPrefix(filepath.Base(tt.program), "-"))
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
			if got, want := taken.Stop(), fmt.Sprintf("kill -TERM %d", host); (got == want) != tt.stop || got != "" && !tt.stop {
				t.Errorf("to type: %q", got)
			}
		})
	}
}

// Who is in the registry of the earlier run is its leftover, whoever is its
// parent. Who carries another key is not, nor is one that has ended.
func TestLeftoversOfAnEarlierRun(t *testing.T) {
	run := newRunID(t)
	_, pid := shell(t, "sh", "worker", "echo $$; read x", markersOf(run)...)
	id, err := procscan.Lookup(pid)
	if err != nil {
		t.Fatal(err)
	}
	entry := rundir.Entry{Worker: "default-0", PID: id.PID, Start: id.Start, Boot: id.Boot}
	previous := &rundir.Record{Key: "k"}
	var left *LeftoversError
	err = refuseLeftovers(t.Context(), run, &rundir.Record{}, []rundir.Entry{entry, {Worker: "default-1"}})
	if !errors.As(err, &left) || !slices.Equal(left.PIDs, []int{pid}) {
		t.Errorf("registered: %v, want a leftover, PID %d", err, pid)
	}
	var taken *NameTakenError
	if err := refuseLeftovers(t.Context(), run, previous, nil); !errors.As(err, &taken) {
		t.Errorf("of another run of the name: %v", err)
	}
	entry.Start--
	if err := refuseLeftovers(t.Context(), run+"2", previous, []rundir.Entry{entry}); err != nil {
		t.Errorf("another process has the PID: %v", err)
	}
}
