package pool

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleEnv makes the test binary one of the processes that the tests need.
const roleEnv = "POOL_TEST_ROLE"

func TestMain(m *testing.M) {
	name := os.Getenv(roleEnv)
	if name == "" {
		goleak.VerifyTestMain(m)
		return
	}
	// Whatever goes wrong with a test, its processes do not stay.
	time.AfterFunc(2*time.Minute, func() { os.Exit(99) })
	play, known := workerRoles()[name]
	for _, more := range []map[string]func(){hostRoles(), foreignRoles()} {
		if !known {
			play, known = more[name]
		}
	}
	if !known {
		os.Exit(98)
	}
	play()
	os.Exit(0)
}
