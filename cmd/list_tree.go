package cmd

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// takeSnapshot sees every process, and by their environment also those of a run
// that have left its tree.
func takeSnapshot(ctx context.Context) (*processes, error) {
	snapshot, err := procscan.Scan(ctx, procscan.Options{Tree: true, ReadEnv: true})
	return &processes{snapshot, func(id procscan.ID) uint64 {
		rss, _, _ := procscan.Usage(id) // it may have ended since; then it uses nothing
		return rss
	}}, err
}

// processes are those of the machine, at one time.
type processes struct {
	procscan.Snapshot
	rss func(procscan.ID) uint64
}

// node is one process of a tree, or what stands for one.
type node struct {
	name, state string
	pid         int
	rss         uint64
	args        []string
	children    []*node
}

// planter makes the tree of one run. Each process is planted once: PIDs of one
// snapshot need not be from one instant, and must not lead in circles.
type planter struct {
	*processes
	run      *runStatus
	children map[int][]procscan.Process // by the parent's PID
	workers  map[int]*workerStatus      // by PID
	planted  map[int]bool
}

// treeOf orders the processes of a run below its supervisor: the guard, the
// workers, the others that the supervisor has; and then those that carry the
// run's marker and are not where they belong.
func treeOf(run *runStatus, all *processes) *node {
	p := &planter{
		processes: all, run: run, children: map[int][]procscan.Process{},
		workers: map[int]*workerStatus{}, planted: map[int]bool{},
	}
	for _, process := range all.Processes {
		p.children[process.PPID] = append(p.children[process.PPID], process)
	}
	root := &node{name: "supervisor", state: run.State, pid: run.Supervisor.PID}
	if run.State != stateEnded { // its PID may be another's by now
		p.describe(root)
		p.planted[root.pid] = true
		p.plantKnown(root)
	}
	if strays := p.strays(); len(strays) > 0 {
		name := "strays"
		if run.State == stateEnded {
			name = "orphans"
		}
		root.children = append(root.children, &node{name: name, children: strays})
	}
	return root
}

func (p *planter) plantKnown(root *node) {
	if p.run.Guard != nil {
		root.children = append(root.children, p.plant(p.run.Guard.PID, "guard"))
	}
	var workers []*workerStatus
	for _, pool := range p.run.Pools {
		workers = append(workers, pool.Workers...)
	}
	if p.run.State == stateUnknown {
		workers = p.guessWorkers()
	}
	isForker := map[int]bool{}
	for _, w := range workers {
		if w.PID == 0 {
			continue
		}
		p.workers[w.PID] = w
		for _, pid := range p.forkers(w.PID) {
			isForker[pid] = true
		}
	}
	for _, w := range workers {
		if w.PID == 0 || len(p.forkers(w.PID)) == 0 {
			root.children = append(root.children, p.plantWorker(w))
		}
	}
	for _, child := range p.children[root.pid] {
		if name := p.beside(child); name != "" && !p.planted[child.PID] {
			root.children = append(root.children, p.plant(child.PID, name))
		}
		marked := child.Condemns && child.RunID == p.run.RunID
		if !p.planted[child.PID] && (!marked || isForker[child.PID]) {
			root.children = append(root.children, p.plant(child.PID, nameOf(child)))
		}
	}
}

// beside names what the supervisor keeps beside the workers; "" for all others. What
// one of those has started carries its id in the environment alone.
func (p *planter) beside(child procscan.Process) string {
	own := slices.Contains(child.Signs, procscan.SignArgument)
	if !own || !child.Condemns || child.RunID != p.run.RunID || p.workers[child.PID] != nil {
		return ""
	}
	switch pool := child.WorkerID[:max(0, strings.LastIndexByte(child.WorkerID, '-'))]; child.WorkerID {
	case pool + "-fork":
		return "forkserver of " + pool
	case pool + "-next":
		return "stand-by of " + pool
	}
	return ""
}

// guessWorkers takes the marked children of a supervisor that does not answer
// for its workers.
func (p *planter) guessWorkers() []*workerStatus {
	var workers []*workerStatus
	for _, child := range p.children[p.run.Supervisor.PID] {
		if child.Condemns && child.RunID == p.run.RunID && p.beside(child) == "" {
			workers = append(workers, &workerStatus{
				ID: cmp.Or(child.WorkerID, "worker"), State: stateUnknown, PID: child.PID, RSSBytes: p.rss(child.ID),
			})
		}
	}
	return workers
}

// forkers are the processes of the run that stand between a worker and the
// supervisor: they fork workers. Nil where there are none, or where the worker
// is not below the supervisor at all.
func (p *planter) forkers(worker int) []int {
	var between []int
	for at, steps := worker, 0; steps < len(p.Processes); steps++ {
		process, found := p.Find(at)
		switch {
		case !found:
			return nil
		case process.PPID == p.run.Supervisor.PID:
			return between
		}
		at = process.PPID
		between = append(between, at)
	}
	return nil
}

// strays carry the run's marker and were not met below the supervisor.
func (p *planter) strays() []*node {
	marked := p.Run(p.run.RunID)
	left := map[int]bool{}
	for _, m := range marked {
		left[m.PID] = !p.planted[m.PID]
	}
	var strays []*node
	for _, m := range marked {
		if left[m.PID] && !left[m.PPID] { // the others are below them
			strays = append(strays, p.plant(m.PID, nameOf(m)))
		}
	}
	return strays
}

// plant makes the node of a process, with all that is below it.
func (p *planter) plant(pid int, name string) *node {
	n := &node{name: name, pid: pid}
	p.planted[pid] = true
	p.describe(n)
	for _, child := range p.children[pid] {
		if p.planted[child.PID] {
			continue
		}
		if w := p.workers[child.PID]; w != nil {
			n.children = append(n.children, p.plantWorker(w))
			continue
		}
		n.children = append(n.children, p.plant(child.PID, nameOf(child)))
	}
	return n
}

func (p *planter) plantWorker(w *workerStatus) *node {
	if w.PID == 0 {
		return &node{name: w.ID, state: w.State}
	}
	n := p.plant(w.PID, w.ID)
	n.state, n.rss = w.State, w.RSSBytes
	return n
}

// describe fills in what the snapshot knows.
func (p *planter) describe(n *node) {
	process, found := p.Find(n.pid)
	if !found {
		n.state = cmp.Or(n.state, "gone")
		return
	}
	n.state = cmp.Or(n.state, stateName(process.State))
	n.args = process.Args
	n.rss = p.rss(process.ID)
}

func nameOf(p procscan.Process) string {
	if len(p.Args) == 0 || p.Args[0] == "" {
		return strconv.Itoa(p.PID)
	}
	return path.Base(p.Args[0])
}

func stateName(s procscan.State) string {
	switch {
	case s.IsDead():
		return "zombie"
	case s == procscan.Stopped || s == procscan.Traced:
		return "halted"
	}
	return "alive"
}

// shortCommand leaves out the directories of a command's paths.
func shortCommand(args []string) string {
	var short []string
	for _, arg := range args {
		if strings.HasPrefix(arg, "/") {
			arg = path.Base(arg)
		}
		short = append(short, arg)
	}
	return oneLine(strings.Join(short, " "))
}
