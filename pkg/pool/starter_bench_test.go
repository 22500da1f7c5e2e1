package pool

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// starter owns a set of workers: a Pool, or what it is measured against.
type starter interface {
	Start(context.Context) error
	Stop(StopOptions) []StopResult
}

// BenchmarkStarter measures what owning a worker costs, with a goroutine for each
// (the pool) and with one loop over all (flat): memory and goroutines of a ready
// worker without its process and the fakes, and the time of a change of state,
// wall and processor, while all workers crash together and come back.
//
//	go test ./pkg/pool -run '^$' -bench Starter -benchtime 20000x
func BenchmarkStarter(b *testing.B) {
	shapes := []struct {
		name string
		make func(Options) starter
	}{
		{"each", func(o Options) starter { return mustNew(b, o) }},
		{"flat", func(o Options) starter { return newFlat(o) }},
	}
	for _, n := range []int{8, 100, 1000} {
		for _, shape := range shapes {
			b.Run(fmt.Sprintf("%s/workers=%d", shape.name, n), func(b *testing.B) {
				bytes, goroutines := costOf(b, n, shape.make)
				fakes, _ := costOf(b, n, func(o Options) starter { return &processesOnly{opts: o} })
				wall, processor := restarts(b, n, shape.make)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(bytes-fakes, "B/worker")
				b.ReportMetric(goroutines, "goroutines/worker")
				b.ReportMetric(wall, "ns/event")
				b.ReportMetric(processor, "cpu-ns/event")
			})
		}
	}
}

func mustNew(b *testing.B, o Options) *Pool {
	b.Helper()
	p, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// costOf weighs a thousand ready workers in pools of n, so that what a pool has
// once counts, too.
func costOf(b *testing.B, n int, shape func(Options) starter) (bytes, goroutines float64) {
	b.Helper()
	ofGoroutine := descriptor()
	heapBefore, goroutinesBefore := weigh()
	var yards []*yard
	for range 1000 / n {
		yards = append(yards, newYard(b, n, shape))
	}
	heap, running := weigh()
	for _, y := range yards {
		y.close(b)
	}
	workers := float64(len(yards) * n)
	goroutines = float64(running-goroutinesBefore) / workers
	return (heap-heapBefore)/workers + goroutines*ofGoroutine, goroutines
}

// restarts has all workers crash, waits until they are back, and does it again
// until there were b.N restarts.
func restarts(b *testing.B, n int, shape func(Options) starter) (wall, processor float64) {
	b.Helper()
	y := newYard(b, n, shape)
	moves, began, used := y.moves.Load(), time.Now(), processorTime(b)
	for done := 0; done < b.N; done += n {
		for _, p := range y.living() {
			p.end(Exit{Code: 1})
		}
		for range n {
			<-y.ready
		}
	}
	took, spent := time.Since(began), processorTime(b)-used
	events := float64(y.moves.Load() - moves)
	y.close(b)
	return float64(took) / events, float64(spent) / events
}

// yard is a fake world with a starter in it. It forgets the past, which would grow
// with each restart, and counts what is observed.
type yard struct {
	*world
	owner  starter
	newest map[string]*fakeProcess // by worker; guarded by the world's mu
	moves  atomic.Int64
	ready  chan struct{} // a value for each worker that has become ready
}

// newYard returns when all n workers are ready.
func newYard(b *testing.B, n int, shape func(Options) starter) *yard {
	b.Helper()
	y := &yard{
		world: newWorld(nil, func(Spec) behaviour { return behaviour{} }), newest: make(map[string]*fakeProcess, n),
		ready: make(chan struct{}, n),
	}
	o := y.options(n)
	o.Launcher, o.Observer = y, y
	o.Name, o.Host, o.LaunchAtOnce = "default", "127.0.0.1", 4
	o.ReadyTimeout, o.Grace, o.ReleaseTimeout = 30*time.Second, 5*time.Second, 2*time.Second
	o.HealthInterval = -1 // the flat one has none
	// All crash again and again, without a pause that would be measured.
	o.MaxRestarts, o.RestartWindow, o.QuietTime = 1<<30, 1, time.Hour
	o.BackoffMin, o.BackoffMax = 1, 1
	y.owner = shape(o)
	if err := y.owner.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for range n {
		<-y.ready
	}
	return y
}

func (y *yard) Launch(ctx context.Context, spec Spec) (Process, error) {
	p, err := y.world.Launch(ctx, spec)
	if err != nil {
		return nil, err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.newest[spec.Worker] = p.(*fakeProcess)
	y.processes = y.processes[:0]
	return p, nil
}

func (y *yard) Observe(e Event) {
	y.moves.Add(1)
	if e.To == Ready {
		y.ready <- struct{}{}
	}
}

func (y *yard) living() []*fakeProcess {
	y.mu.Lock()
	defer y.mu.Unlock()
	var all []*fakeProcess
	for _, p := range y.newest {
		all = append(all, p)
	}
	return all
}

// close stops the workers, and fails if the work was not done as it must be.
func (y *yard) close(b *testing.B) {
	b.Helper()
	y.owner.Stop(StopOptions{})
	y.mu.Lock()
	defer y.mu.Unlock()
	if len(y.broken) > 0 || y.launched != y.exited || len(y.registry) > 0 {
		b.Fatalf("%q; %d launched, %d ended, %d registered", y.broken, y.launched, y.exited, len(y.registry))
	}
}

// processesOnly are the fakes without an owner: what is subtracted.
type processesOnly struct {
	opts Options
	all  []Process
}

func (o *processesOnly) Start(ctx context.Context) error {
	ports, err := o.opts.Ports.Free(o.opts.Host, o.opts.Workers)
	if err != nil {
		return err
	}
	for i, port := range ports {
		id := WorkerID(o.opts.Name, i)
		if err := o.opts.Registry.Put(Entry{Worker: id, Pool: o.opts.Name, Host: o.opts.Host, Port: port}); err != nil {
			return err
		}
		p, err := o.opts.Launcher.Launch(ctx, Spec{Worker: id, Port: port})
		if err != nil {
			return err
		}
		o.all = append(o.all, p)
		o.opts.Observer.Observe(Event{Worker: id, To: Ready})
	}
	return nil
}

func (o *processesOnly) Stop(StopOptions) []StopResult {
	for i, p := range o.all {
		_ = p.SignalGroup(syscall.SIGKILL) // a fake's never fails
		_ = o.opts.Registry.Remove(WorkerID(o.opts.Name, i))
	}
	return nil
}

// weigh is the memory in use, in bytes, and the number of goroutines, once those
// that are about to end have ended.
func weigh() (bytes float64, goroutines int) {
	for same := 0; same < 20; time.Sleep(time.Millisecond) {
		if n := runtime.NumGoroutine(); n != goroutines {
			goroutines, same = n, 0
		} else {
			same++
		}
	}
	for range 4 { // a collection halves a stack that is too large
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse), goroutines
}

// descriptor is what the runtime keeps of a goroutine beside its stack, in bytes. It
// never gives that back: from here on it is reused, and is in no difference.
var descriptor = sync.OnceValue(func() float64 {
	const many = 20_000
	before, _ := weigh()
	end := make(chan struct{})
	for range many {
		go func() { <-end }()
	}
	close(end)
	after, _ := weigh()
	return (after - before) / many
})

// processorTime is what this process has used, user and system.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// flat is one goroutine that owns all workers and does what the pool does from
// launch to ready to exit and back. What may take long runs beside it, launches
// too: they would hold up everybody.
type flat struct {
	opts     Options
	slots    []*flatSlot
	inbox    chan flatEvent
	waiting  []*flatSlot // for their turn to be launched, in order
	starting int         // how many have had their turn and are not ready yet
	living   int         // how many are not stopped
	stopping bool
	done     chan struct{}
}

type flatSlot struct {
	id          string
	port        int
	state       State
	incarnation uint64
	launching   bool // from its turn until it is ready or gone
	process     Process
	client      Client
	cancel      context.CancelFunc
	timer       *time.Timer
	pause       *backoff.ExponentialBackOff
	recent      []time.Time
	restarts    int
	startedAt   time.Time
	readyAt     time.Time
	lastExit    string
	message     string
	status      atomic.Pointer[Status]
}

type flatEvent struct {
	slot        *flatSlot // nil: stop all
	incarnation uint64
	what        flatKind
	state       State // that a timer was set in
	process     Process
	client      Client
	err         error
}

type flatKind int

const (
	flatLaunched flatKind = iota
	flatReady
	flatExited
	flatReleased
	flatTimer
)

func newFlat(o Options) *flat {
	f := &flat{opts: o, inbox: make(chan flatEvent, 64), living: o.Workers, done: make(chan struct{})}
	for i := range o.Workers {
		pause := backoff.NewExponentialBackOff()
		pause.InitialInterval, pause.MaxInterval = o.BackoffMin, o.BackoffMax
		f.slots = append(f.slots, &flatSlot{id: WorkerID(o.Name, i), state: Pending, pause: pause, cancel: func() {}})
	}
	return f
}

// Start returns before they are ready: the observer knows.
func (f *flat) Start(context.Context) error {
	ports, err := f.opts.Ports.Free(f.opts.Host, len(f.slots))
	if err != nil {
		return err
	}
	for i, s := range f.slots {
		s.port = ports[i]
	}
	go f.run()
	return nil
}

func (f *flat) Stop(StopOptions) []StopResult {
	f.send(flatEvent{})
	<-f.done
	return nil
}

func (f *flat) run() {
	defer close(f.done)
	for _, s := range f.slots {
		f.pending(s, "start")
	}
	for f.living > 0 {
		f.handle(<-f.inbox)
	}
}

func (f *flat) send(e flatEvent) {
	select {
	case f.inbox <- e:
	case <-f.done:
	}
}

func (f *flat) handle(e flatEvent) {
	s := e.slot
	switch {
	case s == nil:
		f.onStop()
	case e.incarnation != s.incarnation:
	case e.what == flatLaunched:
		f.onLaunched(s, e)
	case e.what == flatReady && s.state == Starting:
		f.onReady(s, e)
	case e.what == flatExited:
		f.onExited(s)
	case e.what == flatReleased && s.state == Releasing:
		f.onReleased(s, e.err)
	case e.what == flatTimer && e.state == s.state:
		f.onTimer(s)
	}
}

func (f *flat) move(s *flatSlot, to State, reason string) {
	event := Event{
		Time: time.Now(), Pool: f.opts.Name, Worker: s.id, From: s.state, To: to,
		Incarnation: s.incarnation, Port: s.port, Reason: reason,
	}
	status := Status{
		Worker: s.id, Pool: f.opts.Name, State: to, Host: f.opts.Host, Port: s.port,
		Incarnation: s.incarnation, Restarts: s.restarts, LastExit: s.lastExit, Message: s.message,
	}
	if s.process != nil {
		event.PID, status.Process, status.StartedAt = s.process.ID().PID, s.process.ID(), s.startedAt
	}
	s.state = to
	s.status.Store(&status)
	f.opts.Observer.Observe(event)
}

func (f *flat) pending(s *flatSlot, reason string) {
	s.incarnation++
	s.process = nil
	f.move(s, Pending, reason)
	f.waiting = append(f.waiting, s)
	f.launchNext()
}

func (f *flat) launchNext() {
	for !f.stopping && f.starting < f.opts.LaunchAtOnce && len(f.waiting) > 0 {
		s := f.waiting[0]
		f.waiting = f.waiting[1:]
		f.starting++
		s.launching = true
		s.startedAt = time.Now()
		go f.launch(s, Spec{
			RunID: f.opts.RunID, Pool: f.opts.Name, Worker: s.id, Incarnation: s.incarnation,
			Host: f.opts.Host, Port: s.port, Grace: f.opts.Grace,
		})
	}
}

// launch runs beside the loop. It reads of the slot only what never changes.
func (f *flat) launch(s *flatSlot, spec Spec) {
	entry := Entry{Worker: s.id, Pool: spec.Pool, Host: spec.Host, Port: spec.Port, Incarnation: spec.Incarnation}
	e := flatEvent{slot: s, incarnation: spec.Incarnation, what: flatLaunched}
	if e.err = f.opts.Registry.Put(entry); e.err == nil {
		e.process, e.err = f.opts.Launcher.Launch(context.Background(), spec)
	}
	if e.err == nil {
		entry.Process = e.process.ID()
		e.err = f.opts.Registry.Put(entry)
	}
	f.send(e)
}

func (f *flat) launched(s *flatSlot) {
	if s.launching {
		s.launching = false
		f.starting--
		f.launchNext()
	}
}

func (f *flat) onLaunched(s *flatSlot, e flatEvent) {
	if e.process == nil {
		f.launched(s)
		f.restart(s, e.err.Error())
		return
	}
	s.process = e.process
	f.move(s, Starting, "launched")
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	said := make(chan struct{})
	go func() {
		<-e.process.Done()
		select {
		case <-said:
		case <-time.After(250 * time.Millisecond):
		}
		f.send(flatEvent{slot: s, incarnation: e.incarnation, what: flatExited})
	}()
	go func() {
		defer close(said)
		client, err := f.awaitReady(ctx, s.port, e.process)
		f.send(flatEvent{slot: s, incarnation: e.incarnation, what: flatReady, client: client, err: err})
	}()
	f.setTimer(s, f.opts.ReadyTimeout)
	if f.stopping || e.err != nil {
		f.end(s, "stop")
	}
}

func (f *flat) awaitReady(ctx context.Context, port int, process Process) (Client, error) {
	said, err := process.Readiness(ctx)
	if err != nil {
		return nil, err
	}
	if !said.Ready || said.PID != process.ID().PID || said.Port != port {
		return nil, fmt.Errorf("it says %+v", said)
	}
	client, err := f.opts.Connect(f.opts.Host, port)
	if err != nil {
		return nil, err
	}
	if err := client.Healthy(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

func (f *flat) onReady(s *flatSlot, e flatEvent) {
	if e.err != nil {
		f.end(s, e.err.Error())
		return
	}
	s.timer.Stop()
	s.client, s.readyAt, s.message = e.client, time.Now(), ""
	f.launched(s)
	f.move(s, Ready, "answers")
}

// end asks the process to end; the timer sees to it.
func (f *flat) end(s *flatSlot, reason string) {
	f.move(s, Stopping, reason)
	s.timer.Stop()
	if err := s.process.SignalGroup(syscall.SIGTERM); err != nil {
		s.message = err.Error()
	}
	f.setTimer(s, f.opts.Grace)
}

func (f *flat) onExited(s *flatSlot) {
	s.cancel()
	s.timer.Stop()
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
	f.launched(s)
	s.lastExit = s.process.Exit().String()
	f.move(s, Releasing, s.lastExit)
	go func(incarnation uint64, process Process) {
		err := f.release(s.id, s.port, process)
		f.send(flatEvent{slot: s, incarnation: incarnation, what: flatReleased, err: err})
	}(s.incarnation, s.process)
}

func (f *flat) release(id string, port int, process Process) error {
	if _, err := process.EndGroup(context.Background(), 0); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(context.Background(), f.opts.ReleaseTimeout)
	defer cancel()
	if err := f.opts.Ports.WaitFree(limited, f.opts.Host, port); err != nil {
		return err
	}
	return f.opts.Registry.Remove(id)
}

func (f *flat) onReleased(s *flatSlot, err error) {
	if err != nil {
		s.message = err.Error()
	}
	f.restart(s, s.lastExit)
}

func (f *flat) restart(s *flatSlot, reason string) {
	if f.stopping {
		f.stopped(s)
		return
	}
	now := time.Now()
	if !s.readyAt.IsZero() && now.Sub(s.readyAt) >= f.opts.QuietTime {
		s.pause.Reset()
	}
	s.recent = slices.DeleteFunc(s.recent, func(t time.Time) bool { return now.Sub(t) >= f.opts.RestartWindow })
	s.recent = append(s.recent, now)
	if len(s.recent) > f.opts.MaxRestarts {
		f.move(s, Failed, reason)
		return
	}
	s.restarts++
	pause := s.pause.NextBackOff()
	f.move(s, Backoff, fmt.Sprintf("%s; next try in %v", reason, pause.Round(time.Millisecond)))
	f.setTimer(s, pause)
}

// setTimer: a worker has one timer at a time, and its state says what it is for.
// The runtime keeps all timers in heaps of its own; another heap would save nothing.
func (f *flat) setTimer(s *flatSlot, after time.Duration) {
	e := flatEvent{slot: s, incarnation: s.incarnation, what: flatTimer, state: s.state}
	s.timer = time.AfterFunc(after, func() { f.send(e) })
}

func (f *flat) onTimer(s *flatSlot) {
	switch s.state {
	case Backoff:
		f.pending(s, "restart")
	case Starting:
		f.end(s, "not ready in time")
	case Stopping:
		if err := s.process.SignalGroup(syscall.SIGKILL); err != nil {
			s.message = err.Error()
		}
	}
}

func (f *flat) onStop() {
	f.stopping = true
	for _, s := range f.slots {
		switch {
		case s.state == Starting || s.state == Ready:
			f.end(s, "stop")
		case s.state == Backoff, s.state == Failed, s.state == Pending && !s.launching:
			f.stopped(s)
		}
	}
}

func (f *flat) stopped(s *flatSlot) {
	s.incarnation++ // what is under way for it speaks of the past
	f.move(s, Stopped, "stop")
	f.living--
}
