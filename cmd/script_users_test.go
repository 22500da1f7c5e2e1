package cmd

import (
	"os"
	"os/exec"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// as-nobody CODE snakepit [ARG...] runs it as another user, who has no state
// directory. That one may not be able to reach the binary by its path.
func checkNobody(ts *testscript.TestScript, args []string) error {
	program := exec.Command("/proc/self/exe")
	program.Args, program.Dir = args[1:], "/"
	program.Env = []string{"HOME=/nonexistent", "XDG_STATE_HOME=/nonexistent", "GORACE=" + os.Getenv("GORACE")}
	program.Stdout, program.Stderr = ts.Stdout(), ts.Stderr()
	program.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return exitsWith(args[0], program.Run())
}
