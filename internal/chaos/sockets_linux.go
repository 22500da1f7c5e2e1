package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listeners are the sockets that listen on a port, by their inode numbers, which
// no two sockets share as long as either is open (proc_net_tcp(5)). They tell the
// socket that a worker had from that of a stranger who got its port afterwards.
func listeners(port int) []string {
	var found []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // there may be no IPv6
		}
		found = append(found, parseListeners(string(text), port)...)
	}
	return found
}

// parseListeners reads lines whose columns are, from the second on: local
// address, remote address, state, queues, timer, retransmits, uid, timeout, inode.
func parseListeners(table string, port int) []string {
	const listen = "0A"
	var found []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != listen {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port && !slices.Contains(found, fields[9]) {
			found = append(found, fields[9])
		}
	}
	return found
}

// holds says whether a process has one of the sockets open, by their inode numbers.
func (p process) holds(sockets []string) bool {
	open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.pid)) // the pattern is right
	return slices.ContainsFunc(open, func(path string) bool {
		leads, err := os.Readlink(path)
		inode, ok := strings.CutPrefix(leads, "socket:[")
		return err == nil && ok && slices.Contains(sockets, strings.TrimSuffix(inode, "]"))
	})
}
