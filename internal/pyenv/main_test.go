package pyenv

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// resolverVar makes the test binary a process that resolves the options in
// it, tells its progress in lines, and prints the result last.
const resolverVar = "SNAKEPIT_TEST_RESOLVE"

func TestMain(m *testing.M) {
	if options := os.Getenv(resolverVar); options != "" {
		os.Exit(resolver(options))
	}
	os.Exit(m.Run())
}

func resolver(options string) int {
	os.Unsetenv(resolverVar)
	var o resolverOptions
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		fmt.Println("error:", err)
		return 2
	}
	env, err := Resolve(context.Background(), Options{
		CacheDir: o.CacheDir, Path: o.Path,
		Progress: func(step string) { fmt.Println("progress:", step) },
	})
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println("python:", env.Python)
	return 0
}

type resolverOptions struct{ CacheDir, Path string }
