package procscan

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// State is a process state in the letter of proc_pid_stat(5).
type State byte

// The states that matter here; Linux has a few more.
const (
	Running      State = 'R'
	Sleeping     State = 'S'
	Waiting      State = 'D' // cannot be interrupted, not even by KILL
	Stopped      State = 'T'
	Traced       State = 't' // stopped by a debugger
	Idle         State = 'I'
	Zombie       State = 'Z'
	Dead         State = 'X'
	deadOnOld    State = 'x' // Dead in Linux 2.6.33 to 3.13
	unknownState State = '?' // darwin only
)

func (s State) String() string { return string(rune(s)) }

// IsDead says that nothing of the process can run any more.
func (s State) IsDead() bool { return s == Zombie || s == Dead || s == deadOnOld }

// MarshalText writes the letter.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// stat is what the kernel says of a process in one reading.
type stat struct {
	state           State
	ppid, pgid, sid int
	start           uint64 // as ID.Start
	cpuTicks        uint64 // user and system time; Linux only
	rssPages        uint64 // Linux only
	// The process has no memory, and so no arguments and no environment: a
	// thread of the kernel, or one on its way out. Linux only.
	kernel, leaving bool
	// headless says that the main thread has ended and others run. Linux only.
	headless bool
	// memory is where arguments and environment lie; zero in the middle of
	// execve(2), and for who may not trace the process. Linux only.
	memory layout
}

// layout is fields 48 to 51: addresses in the memory of the process.
type layout struct{ argStart, argEnd, envStart, envEnd uint64 }

// Bits of field 9 (PF_* in the kernel's include/linux/sched.h).
const (
	flagExiting = 0x4
	flagKernel  = 0x200000
)

var errStat = errors.New("not a stat line")

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The second field is the
// command in parentheses and may itself hold spaces and parentheses, so fields
// are counted from the last closing one.
func parseStat(line []byte) (stat, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, errStat
	}
	// fields[0] is field 3 of the manual page.
	fields := bytes.Fields(line[end+1:])
	if len(fields) < 22 || len(fields[0]) != 1 {
		return stat{}, errStat
	}
	var err error
	number := func(field int) uint64 {
		n, e := strconv.ParseUint(string(fields[field-3]), 10, 64)
		err = errors.Join(err, e)
		return n
	}
	small := func(field int) int {
		n, e := strconv.ParseInt(string(fields[field-3]), 10, 32)
		err = errors.Join(err, e)
		return int(n)
	}
	st := stat{
		state: State(fields[0][0]),
		ppid:  small(4), pgid: small(5), sid: small(6),
		start:    number(22),
		cpuTicks: number(14) + number(15),
		rssPages: number(24),
	}
	if len(fields) > 51-3 { // since Linux 3.5
		st.memory = layout{number(48), number(49), number(50), number(51)}
	}
	flags := number(9)
	st.kernel, st.leaving = flags&flagKernel != 0, flags&flagExiting != 0
	// A main thread that has ended is a zombie, but field 20 counts the others:
	// with any of them, the process lives.
	if st.state == Zombie && small(20) > 1 {
		st.state, st.headless = Sleeping, true
	}
	if err != nil {
		return stat{}, fmt.Errorf("%w: %w", errStat, err)
	}
	return st, nil
}
