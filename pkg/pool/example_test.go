package pool_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// console is a pool.Output that passes on what workers print.
type console struct{ io.Writer }

func (console) Close() error   { return nil }
func (console) Tail() []string { return nil } // of an error message, the last lines

// A program with a pool of its own: it launches two Python workers, calls a
// tool, restarts a worker on its port, and stops them. WORKER_PYTHON is a Python
// that has the packages of python/requirements.txt, and WORKER_ENTRY is
// python/grpc_server.py. It prints:
//
//	add says 5
//	restarted default-1: another process, the same port
//	default-0 ended: exit 0
//	default-1 ended: exit 0
func Example() {
	launcher, err := pool.NewExecLauncher(
		func(spec pool.Spec) pool.Command {
			return pool.Command{
				Path: os.Getenv("WORKER_PYTHON"),
				Args: []string{
					os.Getenv("WORKER_ENTRY"),
					"--adapter", "snakepit.showcase:Showcase",
					"--host", spec.Host, "--port", strconv.Itoa(spec.Port),
					"--worker-id", spec.Worker, "--snakepit-run-id", spec.RunID,
				},
				// By these two others recognise a worker's descendants.
				Env: append(os.Environ(), "SNAKEPIT_RUN_ID="+spec.RunID, "SNAKEPIT_WORKER_ID="+spec.Worker),
			}
		},
		func(pool.Spec) (pool.Output, error) { return console{os.Stderr}, nil },
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer launcher.Close() // when no worker is left: it ends those that are

	workers, err := pool.New(pool.Options{RunID: "example", Workers: 2, Launcher: launcher})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		for _, result := range workers.Stop(pool.StopOptions{Grace: 10 * time.Second}) {
			fmt.Printf("%s ended: %s\n", result.Worker, result.Exit)
			for _, survivor := range result.Survivors {
				fmt.Println("not ended:", survivor.PID, survivor.What)
			}
		}
	}()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := workers.Start(ctx); err != nil { // Stop must follow all the same
		fmt.Println(err)
		return
	}
	call := pool.Call{
		Tool:       "add",
		Parameters: map[string]json.RawMessage{"a": json.RawMessage("2"), "b": json.RawMessage("3")},
	}
	_, result, err := workers.Execute(ctx, "", call, nil) // on any worker that is idle
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s says %s\n", call.Tool, result)

	port := workers.Worker("default-1").Port
	restarted, err := workers.Restart(ctx, pool.RestartOptions{Workers: []string{"default-1"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range restarted {
		switch {
		case r.Err != nil: // the pool goes on, and so does supervision
			fmt.Println("not restarted:", r.Worker, r.Err)
		case r.NewPID != r.OldPID && r.Port == port:
			fmt.Printf("restarted %s: another process, the same port\n", r.Worker)
		}
	}
}
