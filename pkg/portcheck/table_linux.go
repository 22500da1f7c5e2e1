package portcheck

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// gopsutil's table of connections is not used on Linux: it has neither the user
// nor the number of a socket, so that a socket without a process tells nothing;
// it makes one of two sockets that share a port; and it looks through every
// process of the machine first, which takes ten times as long.

// sockets reads those with this local port from the kernel's tables
// (proc_net(5)): of this network namespace, whoever they belong to.
func sockets(ctx context.Context, port int) ([]socket, error) {
	var all []socket
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(name, "6") {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		found, err := readTable(ctx, file, port)
		_ = file.Close() // only read
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// readTable takes what has the local port. There can be a line for each of many
// thousand connections, so the others are not taken apart.
func readTable(ctx context.Context, table io.Reader, port int) ([]socket, error) {
	suffix := fmt.Sprintf(":%04X", port)
	wanted := []byte(suffix)
	var found []socket
	lines := bufio.NewScanner(table)
	lines.Buffer(make([]byte, 64<<10), 64<<10)
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !bytes.Contains(lines.Bytes(), wanted) {
			continue
		}
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || !strings.HasSuffix(fields[1], suffix) {
			continue // it is the other end's port
		}
		s, err := parseSocket(fields)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		found = append(found, s)
	}
	return found, lines.Err()
}

// parseSocket reads the fields of one line: number, local address, the other
// end's, state, queues, timers, timeouts, user, probes, inode, and more.
func parseSocket(fields []string) (socket, error) {
	if len(fields) < 10 {
		return socket{}, fmt.Errorf("it has %d fields, not 10", len(fields))
	}
	local, err := parseAddress(fields[1])
	if err != nil {
		return socket{}, err
	}
	state, ok := states()[fields[3]]
	if !ok {
		state = fields[3] // of a later kernel
	}
	uid, err := strconv.ParseUint(fields[7], 10, 32)
	if err != nil {
		return socket{}, fmt.Errorf("%q is no user id", fields[7])
	}
	inode, err := strconv.ParseUint(fields[9], 10, 64)
	if err != nil {
		return socket{}, fmt.Errorf("%q is no inode", fields[9])
	}
	return socket{local: local, state: state, uid: uint32(uid), inode: inode}, nil
}

// parseAddress reads 0100007F:1F90. The port is a number, but the address is
// words of 32 bits each, whose bytes stand as they do in this machine's memory.
func parseAddress(text string) (netip.AddrPort, error) {
	words, number, _ := strings.Cut(text, ":")
	port, err := strconv.ParseUint(number, 16, 16)
	if err != nil || len(words) != 8 && len(words) != 32 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", text)
	}
	var raw []byte
	for ; words != ""; words = words[8:] {
		word, err := strconv.ParseUint(words[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("%q is no address", text)
		}
		raw = binary.NativeEndian.AppendUint32(raw, uint32(word))
	}
	addr, _ := netip.AddrFromSlice(raw) // it has 4 or 16 bytes
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), nil
}

// states are those of include/net/tcp_states.h in the kernel's source.
func states() map[string]string {
	return map[string]string{
		"01": "ESTABLISHED", "02": "SYN_SENT", "03": "SYN_RECV", "04": "FIN_WAIT1",
		"05": "FIN_WAIT2", "06": "TIME_WAIT", "07": "CLOSE", "08": "CLOSE_WAIT",
		"09": "LAST_ACK", "0A": "LISTEN", "0B": "CLOSING", "0C": "NEW_SYN_RECV",
	}
}
