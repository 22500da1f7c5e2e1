//go:build !linux

package chaos

import (
	"fmt"

	gopsutil "github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"
)

// scan reads the process table. The environment of others cannot be read
// everywhere; then their arguments, parents and groups have to do.
func scan() ([]process, error) {
	pids, err := gopsutil.Pids()
	if err != nil {
		return nil, fmt.Errorf("cannot read the process table: %w", err)
	}
	var all []process
	for _, pid := range pids {
		p, err := lookup(int(pid))
		if err != nil {
			continue // it has ended
		}
		handle := &gopsutil.Process{Pid: pid}
		p.args, _ = handle.CmdlineSlice() // what it does not show is not there
		p.env, _ = handle.Environ()
		all = append(all, p)
	}
	return all, nil
}

// lookup reads one process without its arguments and environment. Its start is in
// milliseconds.
func lookup(pid int) (process, error) {
	handle := &gopsutil.Process{Pid: int32(pid)}
	created, err := handle.CreateTime()
	if err != nil {
		return process{}, errGone
	}
	p := process{ident: ident{pid, uint64(created)}, state: 'S'}
	if parent, err := handle.Ppid(); err == nil {
		p.ppid = int(parent)
	}
	if states, err := handle.Status(); err == nil && len(states) > 0 {
		p.state = stateOf(states[0])
	}
	p.pgid, _ = unix.Getpgid(pid) // 0 when it has just ended
	p.sid, _ = unix.Getsid(pid)
	return p, nil
}

func stateOf(status string) byte {
	switch status {
	case gopsutil.Zombie:
		return 'Z'
	case gopsutil.Stop:
		return 'T'
	}
	return 'S'
}

// newestPID is not told here; nor are workers forked.
func newestPID() int { return 0 }
