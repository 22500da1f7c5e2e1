package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// mostHeld is how many held ports are named.
const mostHeld = 4

// ports looks at those that the configuration names. Free ports that the kernel
// chooses need no look.
func (e *examination) ports(ctx context.Context) {
	const name = "ports"
	if !e.needsConfig(name) {
		return
	}
	wanted := e.wanted()
	if len(wanted) == 0 {
		e.skip(name, "no base_port: the kernel chooses free ones")
		return
	}
	var held, hints []string
	var first *portcheck.Owner
	own, kept := 0, e.kept()
	for _, w := range wanted {
		by := kept[w.port]
		// To bind the port of a worker that may be about to would be in its way.
		owners, err := portcheck.Blockers(ctx, w.host, w.port, by == "", procscan.RunAndWorker)
		switch {
		case err == nil && len(owners) == 0 && by != "" && e.Running == "":
			held = append(held, fmt.Sprintf("%d (%s) is kept for %s, which has no process on it just now", w.port, w.of, by))
			hints = append(hints, strconv.Itoa(w.port))
			continue
		case err == nil && len(owners) == 0:
			continue
		case e.ours(owners):
			own++
			continue
		case errors.Is(err, portcheck.ErrPermission):
			e.fail(name, "choose ports from 1024 on, or leave base_port out for free ones", "%s: %v", w.of, err)
			return
		case err != nil && !errors.Is(err, portcheck.ErrInUse):
			e.fail(name, "name an address of this machine: --host 127.0.0.1", "%s: %v", w.of, err)
			return
		}
		if first == nil && len(owners) > 0 {
			first = &owners[0]
		}
		held = append(held, fmt.Sprintf("%s (%s) is held by %s", net.JoinHostPort(w.host, strconv.Itoa(w.port)), w.of, nameAll(owners)))
		hints = append(hints, strconv.Itoa(w.port))
	}
	if len(held) == 0 && own > 0 {
		e.ok(name, "%d of %s held by the workers of this run: %s", own, plural(len(wanted), "port is", "ports are"), ranges(wanted))
		return
	}
	if len(held) == 0 {
		e.ok(name, "%s free: %s", plural(len(wanted), "port is", "ports are"), ranges(wanted))
		return
	}
	more := ""
	if len(held) > mostHeld {
		more = fmt.Sprintf("; and %d more", len(held)-mostHeld)
		held, hints = held[:mostHeld], hints[:mostHeld]
	}
	e.fail(name, "see: snakepit ports "+strings.Join(hints, " ")+freeing(first), "%s", strings.Join(held, "\n")+more)
}

// kept are the ports that workers of living runs have for their lives, and whose they
// are.
func (e *examination) kept() map[int]string {
	ports := map[int]string{}
	found, _, _ := rundir.List(e.Runs) // told with the state directory
	for _, f := range rundir.Living(found) {
		entries, _ := rundir.ReadRegistry(f.Dir) // told with the leftovers
		for _, entry := range entries {
			ports[entry.Port] = "worker " + entry.Worker + " of run " + f.RunID
		}
	}
	return ports
}

// freeing says how the port comes free.
func freeing(o *portcheck.Owner) string {
	switch {
	case o == nil || o.PID == 0:
		return "; or choose another base_port"
	case o.RunID != "":
		return fmt.Sprintf("; stop that run: snakepit stop --run-id %[1]s; if it is dead: snakepit kill-orphans --run-id %[1]s", o.RunID)
	}
	return fmt.Sprintf("; look at it: ps -o pid,ppid,user,stat,args -p %d; or choose another base_port", o.PID)
}

// ours says that all of these are workers of the run that is examined while it
// lives.
func (e *examination) ours(owners []portcheck.Owner) bool {
	for _, o := range owners {
		if e.Running == "" || o.RunID != e.Running {
			return false
		}
	}
	return len(owners) > 0
}

// want is a port that the configuration names, and for what.
type want struct {
	host string
	port int
	of   string
}

func (e *examination) wanted() []want {
	var all []want
	for _, p := range e.Config.Pools {
		for i := 0; p.BasePort > 0 && i < p.Workers; i++ {
			all = append(all, want{e.Config.Host, p.BasePort + i, "pool " + p.Name})
		}
	}
	host, text, err := net.SplitHostPort(e.Config.Metrics)
	if port, _ := strconv.Atoi(text); err == nil && port > 0 && e.Running == "" { // a run that lives serves them there
		if host == "" {
			host = net.IPv6unspecified.String() // which takes IPv4 along, as an empty host does
		}
		all = append(all, want{host, port, "metrics"})
	}
	return all
}

// ranges is "default 5000-5007, metrics 9464".
func ranges(wanted []want) string {
	var all []string
	for i := 0; i < len(wanted); {
		end := i
		for end+1 < len(wanted) && wanted[end+1].of == wanted[i].of {
			end++
		}
		text := wanted[i].of + " " + strconv.Itoa(wanted[i].port)
		if end > i {
			text += "-" + strconv.Itoa(wanted[end].port)
		}
		all = append(all, text)
		i = end + 1
	}
	return strings.Join(all, ", ")
}

func nameAll(owners []portcheck.Owner) string {
	if len(owners) == 0 {
		return "somebody who is not to be seen"
	}
	var all []string
	for _, o := range owners {
		all = append(all, o.String())
	}
	return strings.Join(all, " and by ")
}
