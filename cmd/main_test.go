package cmd

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the real snakepit when it is called by that name, and others
// that the tests need.
func TestMain(m *testing.M) {
	programs := estateRoles()
	programs["snakepit"] = func() { os.Exit(Main(os.Args[1:])) }
	testscript.Main(packageTests{m}, programs)
}
