package cmd

import (
	"os"
	"runtime"
	"slices"
	"testing"
)

// startMethodVariable has all tests run with workers that are started in one way.
const startMethodVariable = "SNAKEPIT_START_METHOD"

// startMethods are those that promises are tested under.
func startMethods() []string {
	if one := os.Getenv(startMethodVariable); one != "" {
		return []string{one}
	}
	if runtime.GOOS != "linux" {
		return []string{"spawn"}
	}
	return []string{"forkserver", "spawn"}
}

// underEachMethod runs a test once with forked and once with spawned workers.
func underEachMethod(t *testing.T, test func(t *testing.T, method string)) {
	t.Helper()
	for _, method := range startMethods() {
		t.Run(method, func(t *testing.T) { test(t, method) })
	}
}

// startsBy has all pools of the sandbox be started so.
func (s *sandbox) startsBy(method string) *sandbox {
	s.env = append(slices.Clip(s.env), startMethodVariable+"="+method)
	return s
}
