package chaos

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// run is one run of the program, seen from outside.
type run struct {
	stage *stage
	id    string
	token string   // in the environment of all its processes
	flags []string // of its start
	// brought says that it runs an adapter of ours: what the environment says of the
	// pool under test is not for it.
	brought bool

	record     recordFile // as it was when the run was last looked at
	supervisor process
	guard      process // zero: there is none
	workers    []worker

	seen     map[ident]process       // every process of it that was ever seen
	newest   int                     // the youngest PID of the machine when it was looked at last
	lookedTo int                     // the same, at the last fault
	sockets  map[int]map[string]bool // those that listened on its ports, by port
	held     []func()                // what we hold of it, to be let go
}

// worker is the process in a slot.
type worker struct {
	process
	slot, pool, host string
	port             int
	silent           bool // how it becomes ready says nothing of its port
}

// newRun makes a run of the pool under test; nothing is started yet.
func (s *stage) newRun() *run { return s.newRunAs(s.newID()) }

func (s *stage) newRunAs(id string) *run {
	r := &run{
		stage: s, id: id, token: fmt.Sprintf("%s-%d", s.token, len(s.runs)), flags: s.opts.Pool.Flags,
		seen: map[ident]process{}, sockets: map[int]map[string]bool{},
	}
	s.runs = append(s.runs, r)
	if s.current == nil {
		s.current = r
	}
	return r
}

// first is the run that the fault is for.
func (s *stage) first() *run { return s.current }

func (s *stage) stateHome() string { return filepath.Join(s.dir, "s") }

func (r *run) dir() string { return filepath.Join(r.stage.stateHome(), "snakepit", "runs", r.id) }

// signed tells a process of the run by what it carries: what start was given and all
// descendants inherit, the program's own markers, its own processes' arguments. Only
// such a process is ever signalled without being named.
func (r *run) signed(p process) bool {
	if len(p.args) > 1 && p.args[0] == "snakepit" && p.args[1] == "start" {
		return false // our own command line
	}
	if len(p.env) > 0 { // it has inherited our token, or is a stranger, whatever its arguments say
		return p.has(tokenVariable, r.token) || p.has("SNAKEPIT_RUN_ID", r.id)
	}
	return p.option("--snakepit-run-id") == r.id || p.role() != "" && p.option("--run-id") == r.id
}

// processes are all living processes of the run, by our own scan.
func (r *run) processes() ([]process, error) {
	newest := newestPID()
	all, err := scan()
	if err != nil {
		return nil, err
	}
	r.newest = newest
	return r.among(all), nil
}

// among picks those of the run out of a look at all, and remembers them. A process
// that shows no sign belongs to it all the same if its parent does, or the leader of
// its group, dead or alive.
func (r *run) among(all []process) []process {
	mine, leaders := map[int]process{}, map[int]bool{}
	for id := range r.seen {
		leaders[id.pid] = true
	}
	take := func(belongs func(process) bool) (grown bool) {
		for _, p := range all {
			if _, have := mine[p.pid]; !have && !p.dead() && !r.stage.isDecoy(p.ident) && p.pid != os.Getpid() && belongs(p) {
				mine[p.pid], leaders[p.pid], grown = p, true, true
			}
		}
		return grown
	}
	take(func(p process) bool { _, known := r.seen[p.ident]; return known || r.signed(p) })
	for take(func(p process) bool { _, child := mine[p.ppid]; return child || leaders[p.pgid] }) {
	}
	for _, p := range mine {
		r.seen[p.ident] = p
	}
	return slices.SortedFunc(maps.Values(mine), func(a, b process) int { return a.pid - b.pid })
}

// look takes in what the run consists of now. It returns why that is not the
// steady state.
func (r *run) look() error {
	var err error
	if r.record, err = r.readRecord(); err != nil {
		return err
	}
	entries, err := r.readRegistry()
	if err != nil {
		return err
	}
	mine, err := r.processes()
	if err != nil {
		return err
	}
	r.supervisor, r.guard, r.workers = process{}, process{}, nil
	for _, p := range mine {
		switch p.role() {
		case "supervise":
			r.supervisor = p
		case "guard":
			r.guard = p
		}
	}
	for _, e := range entries {
		w := worker{slot: e.Worker, pool: e.Pool, host: e.Host, port: e.Port, silent: r.isSilent(e.Pool)}
		for _, p := range mine {
			if p.pid == e.PID {
				w.process = p
			}
		}
		r.workers = append(r.workers, w)
		r.noteSockets(e.Port)
	}
	return r.steady()
}

// guarded says that the settings of the run have a guard.
func (r *run) guarded() bool { return r.brought || r.stage.opts.Pool.Guard != "off" }

func (r *run) isSilent(pool string) bool {
	for _, p := range r.record.Config.Pools {
		if p.Name == pool {
			return strings.HasPrefix(p.Ready, "log:")
		}
	}
	return false
}

// noteSockets remembers which sockets listen on a port of the run, while its
// worker is known to be there.
func (r *run) noteSockets(port int) {
	if r.sockets[port] == nil {
		r.sockets[port] = map[string]bool{}
	}
	for _, socket := range listeners(port) {
		r.sockets[port][socket] = true
	}
}

// steady says what is missing for the steady state: a supervisor, a guard if one
// is wanted, and in every slot a marked process that takes connections.
func (r *run) steady() error {
	switch {
	case r.supervisor.pid == 0:
		return fmt.Errorf("no process is seen that supervises run %s", r.id)
	case r.supervisor.pid != r.record.Supervisor.PID:
		return fmt.Errorf("the record says that PID %d supervises, and it is PID %d", r.record.Supervisor.PID, r.supervisor.pid)
	case r.guarded() && r.guard.pid == 0:
		return fmt.Errorf("no guard of run %s is seen", r.id)
	case r.guard.pid != 0 && (r.record.Guard == nil || r.record.Guard.PID != r.guard.pid):
		return fmt.Errorf("the record does not say that PID %d is the guard", r.guard.pid)
	}
	wanted := 0
	for _, p := range r.record.Config.Pools {
		wanted += p.Workers
	}
	if len(r.workers) != wanted {
		return fmt.Errorf("%d of %d workers are in the registry", len(r.workers), wanted)
	}
	for _, w := range r.workers {
		if err := w.serves(r); err != nil {
			return err
		}
	}
	return nil
}

// serves says why a worker does not serve.
func (w worker) serves(r *run) error {
	switch {
	case w.pid == 0:
		return fmt.Errorf("%s has no living process that carries the marker of run %s", w.slot, r.id)
	case w.value("SNAKEPIT_WORKER_ID") != "" && w.value("SNAKEPIT_WORKER_ID") != w.slot: // one that was forked shows its parent's
		return fmt.Errorf("%s: PID %d says that it is %q", w.slot, w.pid, w.value("SNAKEPIT_WORKER_ID"))
	case w.halted():
		return fmt.Errorf("%s: PID %d is halted", w.slot, w.pid)
	case w.silent:
		return nil
	}
	if err := answers(w.host, w.port); err != nil {
		return fmt.Errorf("%s takes no connection: %w", w.slot, err)
	}
	return nil
}

// slot is the worker in a slot, as it was at the last look.
func (r *run) slot(name string) worker {
	for _, w := range r.workers {
		if w.slot == name {
			return w
		}
	}
	return worker{slot: name}
}

// anyWorker is one of the workers, at random.
func (r *run) anyWorker() worker { return r.workers[r.stage.rand.IntN(len(r.workers))] }

func (r *run) workerProcesses() []process {
	all := make([]process, len(r.workers))
	for i, w := range r.workers {
		all[i] = w.process
	}
	return all
}

// ports are all that the run ever had, by its registry and its events.
func (r *run) ports() []int {
	ports := map[int]bool{}
	for port := range r.sockets {
		ports[port] = true
	}
	for _, e := range r.readEvents() {
		if e.Port != 0 {
			ports[e.Port] = true
		}
	}
	return slices.Sorted(maps.Keys(ports))
}

// hold keeps something of the run until the scenario ends, or lets go.
func (r *run) hold(letGo func()) { r.held = append(r.held, letGo) }

// release lets go of everything that we hold.
func (r *run) release() {
	for _, letGo := range r.held {
		letGo()
	}
	r.held = nil
}
