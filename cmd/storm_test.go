package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/control"
	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// restartsVariable says how many restarts in a row TestRestartsInARow makes.
const restartsVariable = "SNAKEPIT_TEST_RESTARTS"

func restarts(t *testing.T) int {
	text := os.Getenv(restartsVariable)
	if text == "" {
		return 40
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", restartsVariable, err)
	}
	return n
}

// startControlled starts a detached run between bystanders, which is stopped in
// the end, and returns where it is, its id, and a client of its supervisor.
func startControlled(t *testing.T, flags ...string) (*sandbox, string, *control.Client) {
	t.Helper()
	s := newSandbox(t)
	id := newRunID(t)
	beside := s.beside(t, id)
	s.mustRun(t, "", append([]string{"start", "-d", "--run-id", id}, flags...)...)
	t.Cleanup(func() { s.mustRun(t, "", "stop", "--run-id", id) })
	beside.withNamesakes(t)
	found, err := rundir.Open(s.runs(), id)
	if err != nil {
		t.Fatal(err)
	}
	client, err := control.Dial(found.Record.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return s, id, client
}

// workersIn are the workers of a run's only pool.
func workersIn(t *testing.T, client *control.Client) []*controlpb.Worker {
	t.Helper()
	status, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Pools[0].Workers
}

// awaitAllReady returns the workers once all are ready.
func awaitAllReady(t *testing.T, client *control.Client) []*controlpb.Worker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		workers, ready := workersIn(t, client), 0
		for _, w := range workers {
			if pool.State(w.State) == pool.Ready {
				ready++
			}
		}
		if ready == len(workers) {
			return workers
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not all are ready: %v", workers)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Two of eight workers are killed every 25 ms, thirty times, under 200 calls at
// once. Afterwards all eight are back on their ports, and no call has failed but
// those of the killed.
func TestCrashStorm(t *testing.T) { underEachMethod(t, crashStorm) }

func crashStorm(t *testing.T, method string) {
	_, _, client := startControlled(t, "--start-method", method, "--workers", "8", "--max-restarts", "1000/5s")
	before := workersIn(t, client)
	ctx, cancel := context.WithCancel(t.Context())
	failures := make(chan error, 100_000)
	var calls sync.WaitGroup
	for range 200 {
		calls.Go(func() {
			for ctx.Err() == nil {
				_, err := client.Call(t.Context(), control.Call{Tool: "add", Parameters: json.RawMessage(`{"a":1,"b":2}`)}, nil)
				if err != nil {
					failures <- err
				}
			}
		})
	}
	killed := map[string]bool{}
	for range 30 {
		time.Sleep(25 * time.Millisecond) // the storm's own pace
		workers := workersIn(t, client)
		for _, i := range rand.Perm(len(workers))[:2] {
			if w := workers[i]; w.Pid != 0 && syscall.Kill(int(w.Pid), syscall.SIGKILL) == nil {
				killed[fmt.Sprintf("%s, PID %d: SIGKILL", w.Id, w.Pid)] = true
			}
		}
	}
	cancel()
	calls.Wait()
	close(failures)
	n := 0
	for err := range failures {
		n++
		if !errors.Is(err, pool.ErrWorkerDied) || !killed[afterColon(err.Error())] {
			t.Errorf("a call failed on a worker that nobody killed: %v", err)
		}
	}
	after := awaitAllReady(t, client)
	if len(after) != len(before) {
		t.Fatalf("%d workers became %d", len(before), len(after))
	}
	for i, w := range after {
		if w.Id != before[i].Id || w.Port != before[i].Port {
			t.Errorf("%s on port %d became %s on port %d", before[i].Id, before[i].Port, w.Id, w.Port)
		}
	}
	t.Logf("%d workers were killed, %d calls failed with them", len(killed), n)
	if len(killed) < 8 {
		t.Errorf("only %d workers were killed: this was no storm", len(killed))
	}
}

// afterColon is what an error says after what it is: who died, and how.
func afterColon(text string) string {
	if is := pool.ErrWorkerDied.Error() + ": "; len(text) > len(is) && text[:len(is)] == is {
		return text[len(is):]
	}
	return text
}

// Many restarts in a row, and fifty at once: all of them succeed, each on the
// port that the worker had.
//
//	SNAKEPIT_TEST_RESTARTS=200 go test -race ./cmd -run RestartsInARow
func TestRestartsInARow(t *testing.T) { underEachMethod(t, restartsInARow) }

func restartsInARow(t *testing.T, method string) {
	_, _, client := startControlled(t, "--start-method", method, "--workers", "4")
	ports := map[string]int32{}
	for _, w := range workersIn(t, client) {
		ports[w.Id] = w.Port
	}
	check := func(r pool.Restarted) {
		if r.Err != nil || r.NewPID == 0 || r.NewPID == r.OldPID || int32(r.Port) != ports[r.Worker] {
			t.Errorf("port %d: %+v", ports[r.Worker], r)
		}
	}
	for i := range restarts(t) {
		worker := "default-" + strconv.Itoa(i%len(ports))
		if err := client.Restart(t.Context(), control.Restart{Workers: []string{worker}}, check); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range 50 {
		worker := "default-" + strconv.Itoa(i%len(ports))
		all.Go(func() {
			if err := client.Restart(t.Context(), control.Restart{Workers: []string{worker}}, check); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, w := range awaitAllReady(t, client) {
		if w.Restarts != 0 || w.Port != ports[w.Id] {
			t.Errorf("in the end %v; it had port %d, and nobody crashed", w, ports[w.Id])
		}
	}
}
