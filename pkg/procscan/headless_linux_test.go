package procscan

import (
	"fmt"
	"syscall"
)

// headless ends the main thread; the others go on.
func headless() {
	fmt.Println("ready")
	syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}
