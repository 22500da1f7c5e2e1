package cmd

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// rude is an adapter for what workers do to outlive their run.
const rude = `import ctypes
import json
import os
import signal
import subprocess
import sys
from snakepit import tool
from snakepit.showcase import Showcase

BOMB = """
import json, os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pids = [os.getpid()]
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        time.sleep(3600)
    pids.append(pid)
print(json.dumps(pids), flush=True)
time.sleep(3600)
"""


class Rude(Showcase):
    @tool
    def ignore_term(self):
        """For the whole process, whatever Python has noted down."""
        ctypes.CDLL(None).signal(signal.SIGTERM, 1)

    @tool
    def bomb(self):
        child = subprocess.Popen([sys.executable, "-S", "-c", BOMB], stdout=subprocess.PIPE, start_new_session=True)
        self._children.append(child)
        return json.loads(child.stdout.readline())

    @tool
    def zombie(self):
        child = os.posix_spawnp("true", ["true"], os.environ)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return child
`

// misbehave has each of six workers do something else, and returns all processes
// that have to be ended, the workers first.
func (r *crashRun) misbehave(t *testing.T, s *sandbox) []*procscan.Handle {
	t.Helper()
	all := slices.Clone(r.workers)
	call := func(worker int, args ...string) string {
		line := append([]string{"call", "--run-id", r.id, "--worker", "default-" + strconv.Itoa(worker)}, args...)
		return strings.TrimSpace(s.mustRun(t, "", line...))
	}
	hold := func(result string, into any) {
		if err := json.Unmarshal([]byte(result), into); err != nil {
			t.Fatalf("%s: %v", result, err)
		}
	}
	call(0, "ignore_term")
	for worker, mood := range []string{1: `{"ignore_term":true}`, 2: `{"ignore_term":true,"setsid":true}`} {
		if mood == "" {
			continue
		}
		var child struct{ PID int }
		hold(call(worker, "spawn_child", mood), &child)
		all = append(all, holdProcess(t, child.PID))
	}
	var bomb []int
	hold(call(3, "bomb"), &bomb)
	for _, pid := range bomb {
		all = append(all, holdProcess(t, pid))
	}
	if err := r.workers[4].Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	call(5, "zombie")
	return all
}

// Workers that ignore TERM, whose child stays when they exit, whose child has
// left their session, a bomb of ten forks, a stopped worker, one with a zombie:
// whoever has to end them ends all of them, and nobody else, and tells the true
// count.
func TestMisbehaviour(t *testing.T) { underEachMethod(t, misbehaviour) }

func misbehaviour(t *testing.T, method string) {
	for name, tt := range map[string]struct {
		layers string
		end    func(*testing.T, *sandbox, *crashRun) (ended []int)
	}{
		"stop":         {"", endByStop},
		"guard":        {"guard", endByGuard},
		"kill-orphans": {"none", endByKillOrphans},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCrashSandbox(t).startsBy(method)
			s.write(t, "rude.py", rude)
			id := newRunID(t)
			beside := s.beside(t, id)
			r := startCrashRun(t, s, id, tt.layers, 6, "--adapter", "rude:Rude")
			beside.withNamesakes(t)
			all := r.misbehave(t, s)
			ended := tt.end(t, s, r)
			var want []int
			for _, p := range all {
				want = append(want, p.ID().PID)
				if gone, err := p.Gone(); !gone || err != nil {
					t.Errorf("PID %d lives: %v", p.ID().PID, err)
				}
			}
			slices.Sort(want)
			slices.Sort(ended)
			if diff := cmp.Diff(want, ended); ended != nil && diff != "" {
				t.Errorf("it says that it has ended others (-want +got):\n%s", diff)
			}
			s.mustBeClean(t)
		})
	}
}

func endByStop(t *testing.T, s *sandbox, r *crashRun) []int {
	cmd := s.command("stop", "--run-id", r.id, "--grace", "500ms")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No orphaned processes: supervision cleaned up") {
		t.Errorf("stop: %v: %s", err, out)
	}
	return nil // it names its workers only
}

func endByGuard(t *testing.T, s *sandbox, r *crashRun) []int {
	r.mustDie(t, r.supervisor)
	if err := r.guard.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	found, err := rundir.Open(s.runs(), r.id)
	if err != nil || found.Record.End == nil {
		t.Fatalf("%+v, %v", found, err)
	}
	end := found.Record.End
	if diff := cmp.Diff(end.Found, end.Killed); diff != "" || len(end.Survivors) > 0 {
		t.Errorf("survivors %v (-found +killed):\n%s", end.Survivors, diff)
	}
	return end.Killed
}

func endByKillOrphans(t *testing.T, s *sandbox, r *crashRun) (ended []int) {
	r.mustDie(t, r.supervisor)
	var document promisedKills
	out := s.mustRun(t, "", "kill-orphans", "--run-id", r.id, "--yes", "--grace", "500ms", "-o", "json")
	if err := promised(out, &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Failed)+len(document.Survivors) > 0 {
		t.Errorf("%+v", document)
	}
	for _, p := range document.Killed {
		ended = append(ended, p.PID)
		if p.PID == r.workers[0].ID().PID && p.Signal != "KILL" {
			t.Errorf("the worker that ignores TERM was ended by %s", p.Signal)
		}
	}
	return ended
}
