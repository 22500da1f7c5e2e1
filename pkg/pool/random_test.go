package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// seedEnv chooses one seed for TestRandomLife, to see a failure again.
const seedEnv = "SNAKEPIT_TEST_SEED"

// Thousands of operations and events in random order. Whatever happens, a slot
// never has two processes, nothing is launched unregistered or on a port that is
// held, whoever asked gets an answer, and in the end the pool is what it was told
// to be and every process is accounted for.
func TestRandomLife(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, rand.Uint64(), rand.Uint64()}
	if text := os.Getenv(seedEnv); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("%s=%d", seedEnv, seed), func(t *testing.T) {
			t.Parallel()
			r := &randomLife{random: rand.New(rand.NewPCG(seed, 0))}
			inBubble(t, r.behave, r.live)
		})
	}
}

type randomLife struct {
	mu     sync.Mutex // guards random
	random *rand.Rand
	calm   atomic.Bool // from now on every process behaves

	asked sync.WaitGroup // all who wait for an answer
}

// chance is true once in n times.
func (r *randomLife) chance(n int) bool { return r.below(n) == 0 }

func (r *randomLife) below(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.IntN(n)
}

func (r *randomLife) upTo(d time.Duration) time.Duration {
	return time.Duration(r.below(int(d/time.Millisecond)+1)) * time.Millisecond
}

// behave gives most processes a normal life.
func (r *randomLife) behave(Spec) behaviour {
	if r.calm.Load() {
		return behaviour{readyAfter: 10 * time.Millisecond}
	}
	b := behaviour{readyAfter: r.upTo(200 * time.Millisecond), stopTakes: r.upTo(300 * time.Millisecond)}
	switch r.below(16) {
	case 0:
		b.ignoreTERM = true
	case 1:
		b.silent = true
	case 2:
		b.closes = true
	case 3:
		b.diesAfter, b.exit = 1+r.upTo(400*time.Millisecond), Exit{Code: 1}
	case 4:
		b.notReady = &Readiness{Kind: "adapter_error", Message: "no"}
	case 5:
		b.launchErr = errors.New("no more processes")
	case 6:
		b.keepsPort = r.upTo(5 * time.Second)
	case 7:
		b.diesOfUSR1, b.silent = true, true
	case 8:
		b.rss = 2 << 20
	}
	return b
}

const firstPort, workersAtMost = 50000, 9

func (r *randomLife) live(t *testing.T, w *world) {
	o := w.options(5)
	o.BasePort, o.LaunchAtOnce = firstPort, 3
	o.ReadyTimeout, o.Grace, o.ReleaseTimeout = 2*time.Second, time.Second, time.Second
	o.HealthInterval, o.HealthTimeout = time.Second, 2*time.Second
	o.TTL, o.MaxCalls, o.MaxMemory = 20*time.Second, 5, 1<<20
	r.calm.Store(true)
	p := startPool(t, o)
	r.calm.Store(false)

	for range 400 {
		time.Sleep(r.upTo(300 * time.Millisecond))
		synctest.Wait() // so that no launch is between its look at the port and its process
		r.act(t, p, w)
	}
	r.calmDown(w)
	r.asked.Wait()
	time.Sleep(2 * time.Minute) // until those that do not behave have grown old
	r.settle(t, p, Ready, Failed, Stopped)
	if n := len(p.Status()); n != p.Desired() {
		t.Errorf("%d workers, %d desired", n, p.Desired())
	}
	results, err := p.Restart(t.Context(), RestartOptions{Rolling: 2})
	if err != nil {
		t.Error(err)
	}
	for _, one := range results {
		if one.Err != nil {
			t.Errorf("in the end %s cannot be restarted: %v", one.Worker, one.Err)
		}
	}
	r.settle(t, p, Ready)
	for i, s := range p.Status() {
		if s.Worker != WorkerID("default", i) || s.Port != firstPort+i {
			t.Errorf("in the end worker %d is %+v", i, s)
		}
	}
	for _, stopped := range p.Stop(StopOptions{}) {
		if stopped.Err != "" || len(stopped.Survivors) > 0 {
			t.Errorf("stop: %+v", stopped)
		}
	}
	t.Logf("%d processes, %d events", w.launched, len(w.events))
}

// calmDown ends all trouble that comes from outside.
func (r *randomLife) calmDown(w *world) {
	r.calm.Store(true)
	for port := firstPort; port < firstPort+workersAtMost; port++ {
		w.silence(port, false)
		w.mu.Lock()
		if w.taken[port] == "a stranger" {
			delete(w.taken, port)
		}
		w.mu.Unlock()
	}
}

// settle waits until every worker has reached what it is for. Now and then one is
// replaced, because it is old.
func (r *randomLife) settle(t *testing.T, p *Pool, reached ...State) {
	t.Helper()
	unsettled := func(s Status) bool { return !slices.Contains(reached, s.State) }
	for range 300 {
		time.Sleep(time.Second + r.upTo(time.Second))
		if !slices.ContainsFunc(p.Status(), unsettled) {
			return
		}
	}
	t.Errorf("after five quiet minutes %+v", p.Status())
}

// act does one thing, or has it happen.
func (r *randomLife) act(t *testing.T, p *Pool, w *world) {
	worker := WorkerID("default", r.below(workersAtMost))
	port := firstPort + r.below(workersAtMost)
	switch r.below(12) {
	case 0, 1:
		r.ask(func(ctx context.Context) {
			r.restart(ctx, t, p, RestartOptions{Workers: []string{worker}, Force: r.chance(3)})
		})
	case 2:
		r.ask(func(ctx context.Context) { r.restart(ctx, t, p, RestartOptions{Rolling: 1 + r.below(3)}) })
	case 3:
		r.ask(func(ctx context.Context) { _, _ = p.Scale(ctx, 1+r.below(workersAtMost)) })
	case 4:
		r.ask(func(ctx context.Context) {
			_, _ = p.StopWorkers(ctx, []string{worker}, StopOptions{Force: r.chance(3)})
		})
	case 5, 6, 7:
		r.ask(func(ctx context.Context) {
			_, _, _ = p.Execute(ctx, "", Call{Tool: []string{"ping", "wait"}[r.below(2)]}, nil)
		})
	case 8, 9:
		r.crash(w)
	case 10:
		w.silence(port, r.chance(2))
	case 11:
		r.squat(w, port)
	}
}

// ask asks, mostly with the patience to hear the answer.
func (r *randomLife) ask(what func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), r.upTo(time.Minute))
	r.asked.Go(func() {
		defer cancel()
		what(ctx)
	})
}

// restart wants one answer for each worker.
func (r *randomLife) restart(ctx context.Context, t *testing.T, p *Pool, o RestartOptions) {
	told := map[string]bool{}
	o.Result = func(one Restarted) {
		if told[one.Worker] {
			t.Errorf("%s was told of twice", one.Worker)
		}
		told[one.Worker] = true
	}
	results, err := p.Restart(ctx, o)
	if err != nil {
		return
	}
	if len(results) != len(told) || len(results) < len(o.Workers) {
		t.Errorf("%d results, %d told of, %d asked for", len(results), len(told), len(o.Workers))
	}
	for _, one := range results {
		if one.Err == nil && (one.NewPID == 0 || one.NewPID == one.OldPID) {
			t.Errorf("restarted: %+v", one)
		}
		if one.Stop < 0 || one.Release < 0 || one.Start < 0 {
			t.Errorf("a phase ends before it begins: %+v", one)
		}
		if total := one.Stop + one.Release + one.Start; one.Err == nil && total != one.Total {
			t.Errorf("the phases take %v: %+v", total, one)
		}
	}
}

func (r *randomLife) crash(w *world) {
	w.mu.Lock()
	p := w.processes[len(w.processes)-1-r.below(min(len(w.processes), 10))]
	w.mu.Unlock()
	p.end(Exit{Signal: 9})
}

// squat has a stranger take a port that is free, or leave one that it has.
func (r *randomLife) squat(w *world, port int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.taken[port] {
	case "":
		w.taken[port] = "a stranger"
	case "a stranger":
		delete(w.taken, port)
	}
}
