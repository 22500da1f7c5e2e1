package cmd

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the real snakepit when it is called by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"snakepit": func() { os.Exit(Main(os.Args[1:])) },
	})
}
