//go:build !unix

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "error: snakepit does not support this operating system: it needs Unix process groups, signals and sockets")
	fmt.Fprintln(os.Stderr, "next:  use Linux or macOS; on Windows, use WSL 2")
	os.Exit(1)
}
