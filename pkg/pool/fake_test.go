package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// world is a fake outside: processes that obey a script, ports, a registry. It
// notes everything that must never happen.
type world struct {
	t *testing.T

	mu        sync.Mutex
	behave    func(Spec) behaviour
	nextPID   int
	living    map[string]int // worker → how many processes of it live
	launched  int
	exited    int
	registry  map[string]Entry
	taken     map[int]string // port → holder
	events    []Event
	processes []*fakeProcess
	called    []string     // tools, in the order of their calls
	broken    []string     // what must never happen, and did
	silent    map[int]bool // ports on which no health RPC is answered
}

// behaviour is how a fake process lives.
type behaviour struct {
	launchErr  error
	readyAfter time.Duration
	notReady   *Readiness    // said in place of being ready
	silent     bool          // never says a word
	diesAfter  time.Duration // of itself; 0: never
	exit       Exit          // when it dies of itself
	stopTakes  time.Duration // from TERM to the end
	ignoreTERM bool
	unkillable bool             // KILL does not end it either
	closes     bool             // its ready channel ends without a word, while it lives on
	diesOfUSR1 bool             // has not registered the signal that asks for its stacks
	rss        uint64           // in bytes
	keepsPort  time.Duration    // how long its port stays taken after its end
	outlived   []procscan.Ended // what EndGroup has to say
}

func newWorld(t *testing.T, behave func(Spec) behaviour) *world {
	return &world{
		t: t, behave: behave, nextPID: 100, living: map[string]int{},
		registry: map[string]Entry{}, taken: map[int]string{}, silent: map[int]bool{},
	}
}

func steady(Spec) behaviour { return behaviour{readyAfter: 10 * time.Millisecond} }

func (w *world) options(workers int) Options {
	return Options{
		RunID: "test", Workers: workers, Launcher: w, Registry: w, Observer: w, Ports: w,
		Connect: func(_ string, port int) (Client, error) { return fakeClient{world: w, port: port}, nil },
	}
}

func (w *world) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// check fails the test for all that must never happen.
func (w *world) check() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.broken {
		w.t.Error(b)
	}
	if w.launched != w.exited {
		w.t.Errorf("%d processes were launched, %d have ended", w.launched, w.exited)
	}
	if len(w.registry) != 0 {
		w.t.Errorf("the registry still has %v", w.registry)
	}
}

func (w *world) Launch(_ context.Context, spec Spec) (Process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.registry[spec.Worker]; !ok {
		w.breaks("%s was launched before it was registered", spec.Worker)
	}
	if holder := w.taken[spec.Port]; holder != "" {
		w.breaks("%s was launched on port %d, which is held by %s", spec.Worker, spec.Port, holder)
	}
	b := w.behave(spec)
	if b.launchErr != nil {
		return nil, b.launchErr
	}
	w.nextPID++
	w.launched++
	w.living[spec.Worker]++
	if w.living[spec.Worker] > 1 {
		w.breaks("%s has two processes", spec.Worker)
	}
	p := &fakeProcess{
		world: w, spec: spec, behaviour: b,
		id: procscan.ID{PID: w.nextPID, Start: uint64(w.nextPID)}, done: make(chan struct{}), born: time.Now(),
	}
	w.taken[spec.Port] = spec.Worker
	w.processes = append(w.processes, p)
	if b.diesAfter > 0 {
		time.AfterFunc(b.diesAfter, func() { p.end(b.exit) })
	}
	return p, nil
}

func (w *world) Put(e Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.registry[e.Worker] = e
	return nil
}

func (w *world) Remove(worker string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.registry, worker)
	return nil
}

func (w *world) Observe(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

var errTaken = errors.New("in use")

func (w *world) Check(_ context.Context, _ string, port int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken[port] != "" {
		return errTaken
	}
	return nil
}

func (w *world) WaitFree(ctx context.Context, host string, port int) error {
	for w.Check(ctx, host, port) != nil {
		select {
		case <-ctx.Done():
			return errTaken
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (w *world) Holder(_ context.Context, _ string, port int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken[port]
}

func (w *world) Free(_ string, n int) ([]int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ports []int
	for port := 40000; len(ports) < n; port++ {
		if w.taken[port] == "" {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// launches is how many processes were launched.
func (w *world) launches() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.launched
}

// seen is how many events there were.
func (w *world) seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

func (p *fakeProcess) wasDumped() bool {
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	return p.dumped
}

// silence has the process on a port answer no health RPC, or answer again.
func (w *world) silence(port int, silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent[port] = silent
}

func (w *world) isSilent(port int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.silent[port]
}

func (w *world) hold(port int, holder string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken[port] = holder
}

// process is the newest process of a worker.
func (w *world) process(worker string) *fakeProcess {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.processes) - 1; i >= 0; i-- {
		if w.processes[i].spec.Worker == worker {
			return w.processes[i]
		}
	}
	w.t.Fatalf("%s was never launched", worker)
	return nil
}

// path is the states that a worker went through.
func (w *world) path(worker string) []State {
	w.mu.Lock()
	defer w.mu.Unlock()
	var states []State
	for _, e := range w.events {
		if e.Worker == worker {
			states = append(states, e.To)
		}
	}
	return states
}

type fakeProcess struct {
	world *world
	spec  Spec
	behaviour
	id   procscan.ID
	done chan struct{}
	born time.Time

	once    sync.Once
	exitAs  Exit
	signals []syscall.Signal
	dumped  bool
}

func (p *fakeProcess) ID() procscan.ID       { return p.id }
func (p *fakeProcess) Done() <-chan struct{} { return p.done }
func (p *fakeProcess) Exit() Exit            { return p.exitAs }
func (p *fakeProcess) Tail() []string        { return []string{"last words of " + p.spec.Worker} }

func (p *fakeProcess) Readiness(ctx context.Context) (Readiness, error) {
	if p.closes {
		return Readiness{}, errNoReadiness
	}
	after := time.After(p.readyAfter)
	if p.silent {
		after = nil
	}
	select {
	case <-after:
	case <-p.done:
		return Readiness{}, errNoReadiness
	case <-ctx.Done():
		return Readiness{}, ctx.Err()
	}
	if p.notReady != nil {
		time.AfterFunc(time.Millisecond, func() { p.end(Exit{Code: 1}) })
		return *p.notReady, nil
	}
	return Readiness{Protocol: 1, Ready: true, PID: p.id.PID, Port: p.spec.Port}, nil
}

// end is the end of the process, by whatever cause.
func (p *fakeProcess) end(exit Exit) {
	p.once.Do(func() {
		w := p.world
		w.mu.Lock()
		w.living[p.spec.Worker]--
		w.exited++
		free := func() {
			if w.taken[p.spec.Port] == p.spec.Worker {
				delete(w.taken, p.spec.Port)
			}
		}
		if p.keepsPort == 0 {
			free()
		} else {
			time.AfterFunc(p.keepsPort, func() { w.mu.Lock(); free(); w.mu.Unlock() })
		}
		w.mu.Unlock()
		p.exitAs = exit
		close(p.done)
	})
}

func (p *fakeProcess) SignalGroup(sig syscall.Signal) error {
	select {
	case <-p.done:
		return procscan.ErrGone
	default:
	}
	p.world.mu.Lock()
	p.signals = append(p.signals, sig)
	p.world.mu.Unlock()
	switch {
	case sig == syscall.SIGKILL && !p.unkillable:
		p.end(Exit{Signal: sig})
	case sig == syscall.SIGTERM && !p.ignoreTERM:
		time.AfterFunc(p.stopTakes, func() { p.end(Exit{}) })
	}
	return nil
}

func (p *fakeProcess) EndGroup(context.Context, time.Duration) ([]procscan.Ended, error) {
	return p.outlived, nil
}

func (p *fakeProcess) Connect() Connect               { return nil }
func (p *fakeProcess) Awaited(context.Context) string { return "" }

func (p *fakeProcess) RSS() (uint64, error) { return p.rss, nil }

func (p *fakeProcess) StartedBy() StartMethod { return Spawned }

func (p *fakeProcess) DumpStacks() error {
	p.world.mu.Lock()
	p.dumped = true
	p.world.mu.Unlock()
	if p.diesOfUSR1 {
		p.end(Exit{Signal: syscall.SIGUSR1})
	}
	return nil
}

// fakeClient's tools run on for a while when their caller leaves.
type fakeClient struct {
	runsOn time.Duration
	world  *world
	port   int
}

func (c fakeClient) AwaitIdle(ctx context.Context) {
	select {
	case <-time.After(c.runsOn):
	case <-ctx.Done():
	}
}

func (c fakeClient) Healthy(ctx context.Context) error {
	if c.world == nil || !c.world.isSilent(c.port) {
		return nil
	}
	<-ctx.Done()
	time.Sleep(time.Millisecond) // nobody is that punctual
	return ctx.Err()
}

func (fakeClient) Close() {}

func (c fakeClient) Execute(ctx context.Context, call Call, _ func([]byte) error) ([]byte, error) {
	if c.world != nil {
		c.world.mu.Lock()
		c.world.called = append(c.world.called, call.Tool)
		c.world.mu.Unlock()
	}
	if call.Tool == "wait" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return json.Marshal(call.Tool)
}

// inBubble runs a test of the pool's logic in fake time.
func inBubble(t *testing.T, behave func(Spec) behaviour, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, behave)
		test(t, w)
		synctest.Wait()
		time.Sleep(time.Minute) // fake: what is late comes now, and must find nobody
		w.check()
	})
}
