package procscan

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errProcArgs = errors.New("not an argument area")

// parseProcArgs reads what darwin's kern.procargs2 returns: the number of
// arguments as a 32-bit integer, the path of the program, NULs up to the next
// boundary, the arguments, the environment, each ended by a NUL; an empty
// entry ends the environment (xnu, bsd/kern/kern_sysctl.c, sysctl_procargsx).
func parseProcArgs(raw []byte) (args, env []string, err error) {
	if len(raw) < 4 {
		return nil, nil, errProcArgs
	}
	argc := binary.LittleEndian.Uint32(raw) // every Mac is little-endian
	_, rest, found := bytes.Cut(raw[4:], []byte{0})
	if !found {
		return nil, nil, errProcArgs
	}
	rest = bytes.TrimLeft(rest, "\x00")
	for len(rest) > 0 {
		entry, after, _ := bytes.Cut(rest, []byte{0})
		rest = after
		switch {
		case uint64(len(args)) < uint64(argc):
			args = append(args, string(entry))
		case len(entry) == 0:
			return args, env, nil
		default:
			env = append(env, string(entry))
		}
	}
	return args, env, nil
}
