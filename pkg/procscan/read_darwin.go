package procscan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"
)

// This file is the only one that reads the system on darwin. gopsutil lists
// the PIDs and measures; arguments, environment and state come from sysctl(3)
// directly, because without cgo gopsutil runs ps(1) for each of them and has no
// environment at all.

func ownProc(ctx context.Context) context.Context { return ctx } // there is no /proc

func listPIDs(ctx context.Context) ([]int32, error) {
	return process.PidsWithContext(ctx)
}

func readArgs(_ context.Context, pid int) ([]string, error) {
	args, _, err := readProcArgs(pid)
	return args, err
}

func readEnv(_ context.Context, pid int) ([]string, error) {
	_, env, err := readProcArgs(pid)
	return env, err
}

// readEnvState cannot tell an environment that is empty from one that begins with
// an overwritten entry; both are believed.
func readEnvState(_ context.Context, pid int) EnvState {
	_, env, err := readProcArgs(pid)
	if err != nil {
		return EnvUnknown
	}
	return parseEnvState([]byte(strings.Join(env, "\x00")))
}

func readProcArgs(pid int) (args, env []string, err error) {
	raw, err := unix.SysctlRaw("kern.procargs2", pid)
	if err == unix.EINVAL {
		// Another user's process, or one that has just ended: the kernel does not
		// say which.
		if _, gone := readStat(pid); gone != nil {
			return nil, nil, gone
		}
		return nil, nil, unix.EPERM
	}
	if err != nil {
		return nil, nil, orGone(err)
	}
	return parseProcArgs(raw)
}

func readProc(pid int) (*unix.KinfoProc, error) {
	if !possible(pid) {
		return nil, ErrGone
	}
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return nil, orGone(err)
	}
	if int(info.Proc.P_pid) != pid {
		return nil, ErrGone
	}
	return info, nil
}

func readStat(pid int) (stat, error) {
	info, err := readProc(pid)
	if err != nil {
		return stat{}, err
	}
	sid, err := unix.Getsid(pid)
	if err != nil {
		sid = 0 // of a zombie, or of another session: the kernel does not tell
	}
	at := info.Proc.P_starttime
	return stat{
		state: stateOf(info.Proc.P_stat),
		ppid:  int(info.Eproc.Ppid), pgid: int(info.Eproc.Pgid), sid: sid,
		start: uint64(at.Sec)*1000 + uint64(at.Usec)/1000,
	}, nil
}

// stateOf translates p_stat (xnu, bsd/sys/proc.h: SIDL 1 to SZOMB 5).
func stateOf(p int8) State {
	const letters = "?IRSTZ"
	if p < 0 || int(p) >= len(letters) {
		return unknownState
	}
	return State(letters[p])
}

func readUID(pid int) (int, error) {
	info, err := readProc(pid)
	if err != nil {
		return 0, err
	}
	return int(info.Eproc.Ucred.Uid), nil
}

func readPlace(int) (cgroup string, contained bool) { return "", false } // there is neither

func readUsage(pid int) (usage, error) {
	st, err := readStat(pid)
	if err != nil {
		return usage{}, err
	}
	p := &process.Process{Pid: int32(pid)}
	memory, err := p.MemoryInfo()
	if err != nil {
		return usage{}, orGone(err)
	}
	times, err := p.Times()
	if err != nil {
		return usage{}, orGone(err)
	}
	return usage{stat: st, rssBytes: memory.RSS, cpuSeconds: times.User + times.System}, nil
}

// readBoot returns the kernel's name for this boot. kern.boottime would not
// do: it moves when somebody sets the clock.
func readBoot() (string, error) {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return "", fmt.Errorf("cannot read the boot id: %w", err)
	}
	return strings.TrimSpace(id), nil
}

func startTime(milliseconds uint64) (time.Time, error) {
	return time.UnixMilli(int64(milliseconds)), nil
}

// orGone turns the kernel's ways to say "no such process" into ErrGone; the
// sysctl for one process returns nothing at all, which x/sys reports as EIO.
func orGone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EIO) {
		return ErrGone
	}
	return err
}

// readChildren is not to be had: all processes have to be asked for their parent.
func readChildren(int) ([]int32, bool) { return nil, false }
