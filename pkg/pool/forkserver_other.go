//go:build !linux

package pool

import "errors"

// Elsewhere no process can take the orphans of its descendants, and so not the
// forks of its forkserver.

func canFork() error { return errors.New("workers can be forked on Linux only") }

func isChild(int) bool { return false }

func seqpacket() ([2]int, error) { return [2]int{}, canFork() }
