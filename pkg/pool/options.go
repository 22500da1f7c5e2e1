package pool

import (
	"fmt"
	"time"
)

// Options describe a pool. Zero values take the defaults named here.
type Options struct {
	RunID   string
	Name    string // of the pool; "default"
	Workers int    // how many, at least 1
	Host    string // the address that workers bind; 127.0.0.1

	// BasePort gives worker i the port BasePort+i. 0: free ephemeral ports,
	// chosen at the first start and kept for the worker's life.
	BasePort int

	ReadyTimeout   time.Duration // from launch to ready; 30 s
	Grace          time.Duration // from TERM to KILL; negative means none, 5 s
	ReleaseTimeout time.Duration // how long a port may take to come free after its process went; 2 s
	LaunchAtOnce   int           // how many workers may be starting together; what the Gate finds

	// More than MaxRestarts within RestartWindow and the worker is given up
	// (the restart intensity of OTP); 3 in 5 s. Negative: none at all.
	MaxRestarts   int
	RestartWindow time.Duration

	// HealthInterval is the pause between two health RPCs to a ready worker, and
	// HealthTimeout how long it may go without an answer before it counts as hung;
	// 10 s and 15 s. A negative interval: no health RPCs, and no look at the memory.
	HealthInterval, HealthTimeout time.Duration

	// A ready worker is replaced, once its call has ended, when its process takes
	// more than MaxMemory bytes (RSS), is older than TTL (give or take a tenth), or
	// has run MaxCalls calls. 0: never.
	MaxMemory uint64
	TTL       time.Duration
	MaxCalls  int

	// LeaveResources has nobody wait for what a process leaves: the next one is
	// launched at once, and may meet its port.
	LeaveResources bool

	// The pause before a restart grows from BackoffMin to BackoffMax, and
	// starts over once a process has been ready for QuietTime; 50 ms, 30 s, 60 s.
	BackoffMin, BackoffMax, QuietTime time.Duration

	Gate *Gate // that the pools of one machine share; one of its own
	// Admit is asked before workers are added by Scale: so many more. nil: they may be.
	Admit    func(more int) error
	Launcher Launcher     // required
	Registry Registry     // none: workers are not registered anywhere
	Observer Observer     // none: nobody is told
	Calls    CallObserver // none: calls are not counted
	Ports    Ports        // the kernel's
	Connect  Connect      // gRPC, by the bridge protocol
}

// withDefaults fills in what was left zero, and checks the rest.
func (o Options) withDefaults() (Options, error) {
	if o.Workers < 1 {
		return o, fmt.Errorf("cannot make pool %q: %d workers; it takes at least 1", o.Name, o.Workers)
	}
	if o.Launcher == nil {
		return o, fmt.Errorf("cannot make pool %q: no launcher", o.Name)
	}
	setDefault(&o.Name, "default")
	setDefault(&o.Host, "127.0.0.1")
	setDefault(&o.ReadyTimeout, 30*time.Second)
	setDefault(&o.Grace, 5*time.Second)
	setDefault(&o.ReleaseTimeout, 2*time.Second)
	setDefault(&o.MaxRestarts, 3)
	setDefault(&o.RestartWindow, 5*time.Second)
	setDefault(&o.HealthInterval, 10*time.Second)
	setDefault(&o.HealthTimeout, 15*time.Second)
	setDefault(&o.BackoffMin, 50*time.Millisecond)
	setDefault(&o.BackoffMax, 30*time.Second)
	setDefault(&o.QuietTime, time.Minute)
	switch {
	case o.LaunchAtOnce > 0:
		o.Gate = newFixedGate(o.LaunchAtOnce)
	case o.Gate == nil:
		o.Gate = NewGate()
	}
	if o.Registry == nil {
		o.Registry = noRegistry{}
	}
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	if o.Calls == nil {
		o.Calls = noObserver{}
	}
	if o.Ports == nil {
		o.Ports = kernelPorts{}
	}
	if o.Connect == nil {
		o.Connect = ConnectBridge
	}
	return o, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// WorkerID is the id of a pool's worker, "default-3".
func WorkerID(pool string, index int) string {
	return fmt.Sprintf("%s-%d", pool, index)
}

type noRegistry struct{}

func (noRegistry) Put(Entry) error     { return nil }
func (noRegistry) Remove(string) error { return nil }

type noObserver struct{}

func (noObserver) Observe(Event)      {}
func (noObserver) ObserveCall(Called) {}
