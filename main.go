//go:build unix

// Command snakepit runs, watches and diagnoses pools of Python gRPC workers.
package main

import (
	"os"

	"github.com/snakepit-dev/snakepit/cmd"
)

func main() { os.Exit(cmd.Main(os.Args[1:])) }
