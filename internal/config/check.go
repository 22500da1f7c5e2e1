package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxWorkers = 4096
	maxPort    = 65535
)

// reservedEnv belongs to the supervisor: the run marker, by which leftover
// workers are found, the worker's own channels, and its port. A pool that changed
// one of them would make its workers unmanageable.
var reservedEnv = []string{
	"SNAKEPIT_RUN_ID", "SNAKEPIT_WORKER_ID", "SNAKEPIT_RUN_KEY", "SNAKEPIT_READY_FD", "SNAKEPIT_LIFELINE_FD", "SNAKEPIT_FORK_FD", "SNAKEPIT_PORT",
}

var (
	runIDPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	poolNamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
	envKeyPattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// Python allows letters of any script in identifiers (PEP 3131). There are so many
	// that this is compiled only where an adapter is looked at: it would take a tenth of
	// the start of every other command.
	adapterPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^([\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*)*)[.:]([\p{L}_][\p{L}\p{N}_]*)$`)
	})
)

func checkRunID(id string) *fault {
	if runIDPattern.MatchString(id) {
		return nil
	}
	return &fault{
		"a run id is 1 to 64 characters of a-z, 0-9, _ and -, and starts with a letter or digit",
		"choose another run id, or leave it out to get a random one",
	}
}

func checkPoolName(name string) *fault {
	if poolNamePattern.MatchString(name) {
		return nil
	}
	return &fault{
		"a pool name is 1 to 32 characters of a-z, 0-9, _ and -, and starts with a letter or digit",
		"choose another pool name",
	}
}

func checkWorkers(n int) *fault {
	if n >= 1 && n <= maxWorkers {
		return nil
	}
	return &fault{
		fmt.Sprintf("the number of workers must be from 1 to %d", maxWorkers),
		fmt.Sprintf("give a whole number from 1 to %d", maxWorkers),
	}
}

func checkBasePort(port int) *fault {
	if port >= 0 && port <= maxPort {
		return nil
	}
	return &fault{
		fmt.Sprintf("a port must be from 1 to %d", maxPort),
		fmt.Sprintf("give a port from 1 to %d, or leave it out to use free ports", maxPort),
	}
}

func checkReadyTimeout(d time.Duration) *fault {
	if d > 0 {
		return nil
	}
	return &fault{"the ready timeout must be longer than zero", "give a duration such as 30s or 2m"}
}

func checkGrace(d time.Duration) *fault {
	if d >= 0 {
		return nil
	}
	return &fault{"the grace time cannot be negative", "give a duration such as 5s, or 0s to kill at once"}
}

func checkOrphans(text string) *fault {
	return checkChoice(text, OrphansKill, OrphansWarn, OrphansIgnore)
}

func checkCleanup(text string) *fault {
	return checkChoice(text, CleanupKill, CleanupReport, CleanupOff)
}

func checkResources(text string) *fault {
	return checkChoice(text, ResourcesWait, ResourcesOff)
}

func checkLogFormat(text string) *fault {
	return checkChoice(text, LogText, LogJSON)
}

// parseMetrics returns the address in its normal form. Empty: no metrics. An
// address without a host means every address of the machine.
func parseMetrics(text string) (string, *fault) {
	if text == "" {
		return "", nil
	}
	const hint = "give an address such as 127.0.0.1:9464, or :9464 for every address of this machine"
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", &fault{"it is not written host:port", hint}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", &fault{fmt.Sprintf("a port is a number from 1 to %d, or 0 for any that is free", maxPort), hint}
	}
	if host != "" {
		var f *fault
		if host, f = parseHost(host); f != nil {
			return "", f
		}
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

func checkChoice(text string, choices ...string) *fault {
	if slices.Contains(choices, text) {
		return nil
	}
	list := strings.Join(choices, ", ")
	return &fault{"it is none of " + list, "choose one of " + list}
}

func checkPython(python string) *fault {
	if !strings.ContainsRune(python, 0) {
		return nil
	}
	return &fault{"a path cannot contain a NUL character", "give the path of a Python interpreter"}
}

func checkEnv(key, text string) *fault {
	switch {
	case !envKeyPattern.MatchString(key):
		return &fault{
			"a variable's name is letters, digits and _, and does not start with a digit",
			"choose another name",
		}
	case slices.Contains(reservedEnv, key):
		return &fault{"snakepit sets this variable itself", "remove it from env"}
	case strings.ContainsRune(text, 0):
		return &fault{"a variable's value cannot contain a NUL character", "remove the NUL character"}
	}
	return nil
}

// parseHost returns the address in its normal form. Names other than localhost
// are refused: which address they mean can change while the run lives, and
// ports are kept, probed and reported per address.
func parseHost(host string) (string, *fault) {
	if host == "localhost" {
		return DefaultHost, nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.IsMulticast() {
		return "", &fault{
			"a host is an IP address of this machine, or localhost",
			"give an address such as 127.0.0.1 or ::1",
		}
	}
	return addr.Unmap().String(), nil
}

// parseAdapter returns "module:Class" for that or for "module.Class".
func parseAdapter(text string) (string, *fault) {
	m := adapterPattern().FindStringSubmatch(text)
	if m == nil {
		return "", &fault{
			"an adapter is written module:Class",
			"give a module that can be imported and a class in it, such as my_package.tools:Tools",
		}
	}
	return m[1] + ":" + m[2], nil
}

func checkDirectory(path string) *fault {
	hint := "adapters are imported from these directories: give ones that exist"
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return &fault{"there is no such directory", hint}
	case os.IsPermission(err):
		return &fault{"permission denied", hint}
	case err != nil:
		return &fault{"the directory cannot be read", hint}
	case !info.IsDir():
		return &fault{"it is not a directory", hint}
	}
	return nil
}

// ports returns the first and last port of the pool; zeros when it uses free ones.
func (p Pool) ports() (first, last int) {
	if p.BasePort == 0 {
		return 0, 0
	}
	return p.BasePort, p.BasePort + p.Workers - 1
}

func (p Pool) label(what string) string { return fmt.Sprintf("%s of pool %q", what, p.Name) }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
