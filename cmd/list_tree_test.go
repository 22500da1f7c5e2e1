package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// process is one of a snapshot; a run marks it, if given.
func process(pid, ppid int, run, worker string, args ...string) procscan.Process {
	p := procscan.Process{ID: procscan.ID{PID: pid, Start: uint64(pid)}, PPID: ppid, State: procscan.Sleeping, Args: args}
	if run != "" {
		p.Marker = procscan.Marker{RunID: run, WorkerID: worker, Condemns: true}
	}
	return p
}

func snapshotOf(all ...procscan.Process) *processes {
	slices.SortFunc(all, func(a, b procscan.Process) int { return a.PID - b.PID })
	return &processes{
		Snapshot: procscan.Snapshot{Processes: all, Self: 9999},
		rss:      func(id procscan.ID) uint64 { return uint64(id.PID) * 1000 },
	}
}

func python(worker string) []string {
	return []string{"/home/me/.cache/snakepit/venv/bin/python", "/home/me/.cache/snakepit/worker/grpc_server.py", "--snakepit-run-id", "demo", "--worker", worker}
}

// sampleProcesses belong to the first of the sample runs: the worker api-0 has
// a child that has a child, batch-0 was forked by a forkserver, and two have
// left the tree.
func sampleProcesses() *processes {
	zombie := process(2102, 2001, "", "")
	zombie.State = procscan.Zombie
	return snapshotOf(
		process(1, 0, "", "", "/sbin/init"),
		process(1234, 1, "", "", "/usr/local/bin/snakepit", "supervise"),
		process(1235, 1234, "", "", "/usr/local/bin/snakepit", "guard", "--run-id", "demo"),
		process(2001, 1234, "demo", "api-0", python("api-0")...),
		process(2101, 2001, "demo", "api-0", "sh", "-c", "sleep 60\nsleep 60"),
		process(2103, 2101, "demo", "api-0", "sleep", "60"),
		zombie,
		process(2003, 1234, "demo", "batch-0", "/usr/bin/python3", "forkserver.py"),
		process(2004, 2003, "demo", "batch-0", python("batch-0")...),
		process(2200, 1, "demo", "api-0", "/opt/tool", "--left-its-group"),
		process(2201, 2200, "demo", "api-0", "sleep", "61"),
		process(2202, 1234, "demo", "api-1", "sleep", "62"),
		process(2300, 1, "other", "api-0", "sleep", "63"),
		process(9999, 1, "demo", "api-0", "snakepit", "list", "--tree"),
	)
}

func TestListTree(t *testing.T) {
	v := plainView()
	checkGolden(t, "list_tree.txt", v.trees(sampleRuns()[:1], sampleProcesses()))
	v.width = 80
	checkGolden(t, "list_tree_80.txt", v.trees(sampleRuns()[:1], sampleProcesses()))
	v.wide = true
	checkGolden(t, "list_tree_wide.txt", v.trees(sampleRuns()[:1], sampleProcesses()))
}

// outline is a tree in one line: names, and what is below each in parentheses.
func outline(n *node) string {
	if len(n.children) == 0 {
		return n.name
	}
	var below []string
	for _, child := range n.children {
		below = append(below, outline(child))
	}
	return n.name + "(" + strings.Join(below, " ") + ")"
}

func TestTreeOf(t *testing.T) {
	run := func(state string, workers ...*workerStatus) *runStatus {
		return &runStatus{
			RunID: "demo", State: state, Supervisor: processStatus{PID: 10},
			Pools: []*poolStatus{{Name: "a", Workers: workers}},
		}
	}
	server := process(12, 10, "demo", "a-fork", "python")
	server.Signs = []procscan.Sign{procscan.SignArgument, procscan.SignEnvironment}
	helper := process(13, 10, "demo", "a-fork", "sleep")
	helper.Signs = []procscan.Sign{procscan.SignEnvironment}
	tests := []struct {
		name string
		run  *runStatus
		all  *processes
		want string
	}{
		{
			"a supervisor that has just gone", run("running", &workerStatus{ID: "a-0", PID: 11}),
			snapshotOf(), "supervisor(a-0)",
		},
		{
			"a worker that is nobody's child any more", run("running", &workerStatus{ID: "a-0", PID: 11}),
			snapshotOf(process(10, 1, "", "", "snakepit"), process(11, 1, "demo", "a-0", "python"), process(12, 11, "demo", "a-0", "sleep")),
			"supervisor(a-0(sleep))",
		},
		{
			"a child of the supervisor without a marker", run("running"),
			snapshotOf(process(10, 1, "", "", "snakepit"), process(11, 10, "", "", "/bin/uv")), "supervisor(uv)",
		},
		{
			"who is left by a forkserver is none", run("running"),
			snapshotOf(process(10, 1, "", "", "snakepit"), server, helper), "supervisor(forkserver of a strays(sleep))",
		},
		{
			"the supervisor does not answer", run(stateUnknown),
			snapshotOf(process(10, 1, "", "", "snakepit"), process(11, 10, "demo", "a-0", "python"), process(12, 1, "demo", "a-1", "python3")),
			"supervisor(a-0 strays(python3))",
		},
		{
			"the run has ended, and its PID belongs to another", run(stateEnded),
			snapshotOf(process(10, 1, "", "", "firefox"), process(11, 10, "", "", "tab"), process(12, 1, "demo", "a-1", "python3")),
			"supervisor(orphans(python3))",
		},
		{
			"PIDs that lead in a circle", run("running", &workerStatus{ID: "a-0", PID: 11}),
			snapshotOf(process(10, 11, "", "", "snakepit"), process(11, 12, "demo", "a-0", "python"), process(12, 11, "demo", "a-0", "python")),
			"supervisor(a-0(python))",
		},
		{
			"strays in a circle are not shown, and do no harm", run("running"),
			snapshotOf(process(21, 22, "demo", "a-0", "x"), process(22, 21, "demo", "a-0", "y")), "supervisor",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, outline(treeOf(test.run, test.all))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
