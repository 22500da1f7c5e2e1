package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What must hold when a run is over, however it came to that.

// The names of the checks that every scenario makes of every run that it is about.
const (
	checkGone   = "no survivor"
	checkOver   = "run over"
	checkBound  = "ports"
	checkFiles  = "registry, socket, lock"
	checkRecord = "record"
	checkEvents = "events"     // if there is a guard
	checkOthers = "bystanders" // of every scenario, even if it has two runs
)

// checkWhole fails a scenario that has started a run, and left one of them out.
func (s *stage) checkWhole() {
	if !s.started {
		return
	}
	promised := []string{checkGone, checkOver, checkBound, checkFiles, checkRecord}
	if s.first().guarded() {
		promised = append(promised, checkEvents)
	}
	if s.suffix != "" {
		for _, name := range slices.Clone(promised) {
			promised = append(promised, name+s.suffix)
		}
	}
	missing := slices.DeleteFunc(promised, func(name string) bool {
		return slices.ContainsFunc(s.checks, func(c Check) bool { return c.Name == name })
	})
	if len(missing) > 0 {
		s.check(Check{Name: "the scenario is whole", Detail: fmt.Sprintf("it has not looked at %q", missing)})
	}
}

// allGone waits until nothing of the first run is alive but its own processes,
// which allOver is about.
func allGone(most limit) step {
	return func(ctx context.Context, s *stage) error { return s.awaitGone(ctx, s.first(), most(s.first())) }
}

// awaitGone follows those that are known to their end, and then looks for others:
// by their marker, their group, their parent, and by what they inherited from us.
func (s *stage) awaitGone(ctx context.Context, r *run, limit time.Duration) error {
	s.doing("waiting for the end of every worker")
	known := map[ident]process{}
	for id, p := range r.seen {
		if p.role() == "" {
			known[id] = p
		}
	}
	last, quiet := time.Now(), 0
	var left []process
	var failed error
	gone := await(ctx, limit-time.Since(s.faultAt), func() bool {
		left = nil
		for id, p := range known {
			if alive(id) {
				left = append(left, p)
			}
		}
		if len(left) > 0 {
			last, quiet = time.Now(), 0
			return false
		}
		mine, err := r.processes()
		if err != nil {
			failed = err
			return true
		}
		for _, p := range mine {
			if p.role() == "" {
				known[p.ident] = p
				left = append(left, p)
			}
		}
		if quiet++; len(left) > 0 {
			last, quiet = time.Now(), 0
		}
		return quiet > 2 // a process can hide from one look, between fork and exec
	})
	if failed != nil || ctx.Err() != nil {
		return failed
	}
	took := max(0, last.Sub(s.faultAt))
	c := Check{Name: checkGone, Passed: gone, Took: took, Limit: limit, Detail: fmt.Sprintf("the last of %s gone after %v, limit %v", count(len(known), "process", "processes"), round(took), limit)}
	if !gone {
		c.Detail = fmt.Sprintf("alive after %v: %s", limit, describe(left))
	}
	s.check(c)
	return nil
}

// allOver waits for the end of supervisor and guard, and looks at what the first
// run leaves.
func allOver(most limit) step {
	return func(ctx context.Context, s *stage) error { return s.awaitOver(ctx, s.first(), most(s.first())) }
}

func (s *stage) awaitOver(ctx context.Context, r *run, limit time.Duration) error {
	s.doing("waiting for the last word of the run")
	var left []process
	var failed error
	over := await(ctx, limit-time.Since(s.faultAt), func() bool {
		if left = living(r.everSeen()); len(left) == 0 {
			left, failed = r.processes()
		}
		return len(left) == 0 || failed != nil
	})
	if failed != nil {
		return failed
	}
	if ctx.Err() != nil {
		return nil
	}
	took := time.Since(s.faultAt)
	c := Check{Name: checkOver, Passed: over, Took: took, Limit: limit, Detail: fmt.Sprintf("supervisor and guard gone after %v, limit %v", round(took), limit)}
	if !over {
		c.Detail = fmt.Sprintf("alive after %v: %s", limit, describe(left))
	}
	s.check(c)
	s.checkPorts(ctx, r)
	return nil
}

// checkPorts binds every port that the run had. A port that it did not get back may
// have been given to a stranger since: what listens there then is another socket.
func (s *stage) checkPorts(ctx context.Context, r *run) {
	began, ports, strangers := time.Now(), r.ports(), 0
	c := Check{Name: checkBound, Passed: true, Limit: releaseLimit}
	for _, port := range ports {
		var why error
		if await(ctx, releaseLimit-time.Since(began), func() bool { why = free(r.host(), port); return why == nil }) {
			continue
		}
		if isInUse(why) && !r.listens(port) {
			strangers++
			continue
		}
		c.Passed = false
		c.Detail += fmt.Sprintf("port %d: %v; ", port, why)
	}
	c.Took = time.Since(began)
	if c.Passed {
		c.Detail = fmt.Sprintf("%d of %d bound after %v, limit %v", len(ports)-strangers, len(ports), round(c.Took), releaseLimit)
		if strangers > 0 {
			c.Detail += "; somebody else has got the others by now"
		}
	}
	s.check(c)
}

// listens says whether a socket that the run had listens on the port, or one of
// which that cannot be known.
func (r *run) listens(port int) bool {
	if len(r.sockets[port]) == 0 {
		return true
	}
	return slices.ContainsFunc(listeners(port), func(socket string) bool { return r.sockets[port][socket] })
}

func (r *run) host() string {
	if r.record.Config.Host == "" {
		return "127.0.0.1"
	}
	return r.record.Config.Host
}

// nothingOnDisk looks for what a run that is over must not leave there.
func nothingOnDisk(_ context.Context, s *stage) error {
	s.checkDisk(s.first())
	return nil
}

func (s *stage) checkDisk(r *run) {
	var wrong []string
	free, err := r.lockIsFree()
	switch {
	case err != nil:
		wrong = append(wrong, "the lock: "+err.Error())
	case !free:
		wrong = append(wrong, "the lock is held")
	}
	entries, err := r.readRegistry()
	switch {
	case err != nil:
		wrong = append(wrong, err.Error())
	case len(entries) > 0:
		wrong = append(wrong, fmt.Sprintf("the registry has %s: %v", count(len(entries), "worker", "workers"), entries))
	}
	if _, err := os.Lstat(r.socket()); !errors.Is(err, fs.ErrNotExist) {
		wrong = append(wrong, "the socket is there: "+r.socket())
	}
	c := Check{Name: checkFiles, Passed: len(wrong) == 0, Detail: "empty, gone, free"}
	if !c.Passed {
		c.Detail = strings.Join(wrong, "; ")
	}
	s.check(c)
}

// checkRemains looks at what a run leaves whose end nobody could write down: its
// socket may be there if nobody was left to remove it, and the registry may name
// those that are gone; the next start takes them away, which idFreeAgain looks at.
func (s *stage) checkRemains(r *run) {
	var wrong []string
	if free, err := r.lockIsFree(); err != nil || !free {
		wrong = append(wrong, fmt.Sprintf("the lock is free: %s (%v)", yesNo(free), err))
	}
	entries, err := r.readRegistry()
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	for _, e := range entries {
		if e.PID != 0 && alive(ident{e.PID, e.Start}) {
			wrong = append(wrong, fmt.Sprintf("%s, PID %d, is registered and alive", e.Worker, e.PID))
		}
	}
	if conn, err := net.DialTimeout("unix", r.socket(), time.Second); err == nil {
		_ = conn.Close() // nothing was said
		wrong = append(wrong, "somebody answers on the socket")
	}
	c := Check{Name: checkFiles, Passed: len(wrong) == 0, Detail: fmt.Sprintf("lock free, nobody behind the socket, %s in the registry and none alive; the next start takes that away", count(len(entries), "worker", "workers"))}
	if !c.Passed {
		c.Detail = strings.Join(wrong, "; ")
	}
	s.check(c)
}

func (r *run) socket() string {
	if r.record.Socket != "" {
		return r.record.Socket
	}
	return filepath.Join(r.stage.dir, "r", "snakepit", r.id+".sock")
}

// idFreeAgain starts another run of the same id, as if nothing had been, and stops
// that.
func idFreeAgain(ctx context.Context, s *stage) error {
	if s.failed {
		return errEnough // the files of the first run still say why
	}
	again := s.newRunAs(s.first().id)
	again.flags, again.brought = s.first().flags, s.first().brought
	return s.aside("run id free again", func() error {
		if err := s.startRun(ctx, again); err != nil {
			return err
		}
		if err := s.stopRun(ctx, again); err != nil {
			return err
		}
		return s.settledOver(ctx, again)
	})
}

// settledOver is all that has to hold of a run that was stopped.
func (s *stage) settledOver(ctx context.Context, r *run) error {
	if err := s.awaitGone(ctx, r, afterStop(r)); err != nil {
		return err
	}
	if err := s.awaitOver(ctx, r, afterStop(r)); err != nil {
		return err
	}
	s.checkEnd(r, ending{how: "stopped", nobody: true}, nil)
	s.checkDisk(r)
	return nil
}

// aside does something beside the point of the scenario, all of whose checks count
// as one.
func (s *stage) aside(name string, do func() error) error {
	before := len(s.checks)
	s.watching = false
	err := do()
	s.watching = true
	c := Check{Name: name, Passed: err == nil, Detail: fmt.Sprintf("%s held", count(len(s.checks)-before, "check", "checks"))}
	if err != nil {
		c.Detail = err.Error()
	}
	for _, held := range s.checks[before:] {
		if !held.Passed {
			c.Passed, c.Detail = false, held.Name+": "+held.Detail
		}
	}
	s.checks = s.checks[:before]
	s.check(c)
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
