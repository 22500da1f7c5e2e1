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
// tool, and stops them. The workers' environment has the packages they need.
func Example() {
	launcher, err := pool.NewExecLauncher(
		func(spec pool.Spec) pool.Command {
			return pool.Command{
				Path: "/opt/venv/bin/python",
				Args: []string{
					"/opt/app/grpc_server.py",
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
	worker, result, err := workers.Execute(ctx, "", pool.Call{
		Tool:       "add",
		Parameters: map[string]json.RawMessage{"a": json.RawMessage("2"), "b": json.RawMessage("3")},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s says %s\n", worker, result)
}
