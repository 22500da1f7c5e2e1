package procscan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Options say how much a Scan reads. The zero value reads the command line of
// every process and more only of those that carry an argument marker.
type Options struct {
	// ReadEnv also finds processes by their environment alone: descendants of
	// workers. It about trebles the time.
	ReadEnv bool
	// Tree keeps every process, with its parent, group and session.
	Tree bool
	// Also keeps these processes too, zombies included, while they are what the
	// identity says.
	Also []ID
	// Ancestors keeps the parents of what is kept, their parents, and so on. It
	// costs far less than Tree.
	Ancestors bool
}

// Scan looks at every process of the machine once. Processes that end
// meanwhile are left out; so are those that begin. When something could not be
// read for another reason than permission, the snapshot holds the rest, and
// the error says what is missing. In the /proc of another PID namespace it looks
// at nobody: the error is ErrOtherNamespace.
func Scan(ctx context.Context, opts Options) (Snapshot, error) {
	boot, err := thisBoot()
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot look: %w", err)
	}
	ctx = ownProc(ctx)
	pids, err := listPIDs(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot look: %w", err)
	}
	s := scanner{opts: opts, boot: boot, self: os.Getpid(), uid: os.Geteuid()}

	// The time goes into system calls, which do not hinder each other.
	parts := make([]part, min(runtime.GOMAXPROCS(0), 8))
	var wait sync.WaitGroup
	for i := range parts {
		wait.Go(func() { parts[i] = s.scan(ctx, pids, i, len(parts)) })
	}
	wait.Wait()
	all, err := s.merge(parts)
	s.lookAgain(ctx, &all)
	if opts.Ancestors && !opts.Tree {
		err = errors.Join(err, s.addAncestors(ctx, &all))
	}
	if opts.Tree {
		for i := range all.Processes {
			if p := &all.Processes[i]; p.PPID != 0 {
				if _, seen := all.Find(p.PPID); !seen {
					p.adoptedSince()
				}
			}
		}
	}
	return all, err
}

// lookAgain looks once more, a few milliseconds later, at those that let nobody read
// them: who is in the middle of execve(2), or of its end, does so for an instant.
func (s scanner) lookAgain(ctx context.Context, all *Snapshot) {
	for pause := time.Millisecond; len(all.Closed) > 0 && pause <= 4*time.Millisecond; pause *= 2 {
		time.Sleep(pause)
		all.Closed = slices.DeleteFunc(all.Closed, func(id ID) bool {
			p, unreadable, err := s.inspect(ctx, id.PID)
			if unreadable && p.ID == id && s.own(id.PID) || err != nil && !errors.Is(err, ErrGone) {
				return false
			}
			all.opened(id, p, err == nil && p.ID == id && (s.opts.Tree || len(p.Signs) > 0 || slices.Contains(s.opts.Also, id)))
			return true
		})
	}
}

// opened replaces what was seen of a process that let nobody read it; one that is of no
// interest, or has ended, goes.
func (s *Snapshot) opened(id ID, now Process, keep bool) {
	s.Unreadable--
	i := slices.IndexFunc(s.Processes, func(p Process) bool { return p.ID == id })
	switch {
	case i < 0:
	case keep:
		s.Processes[i] = now
	default:
		s.Processes = slices.Delete(s.Processes, i, i+1)
	}
}

// adoptedSince looks for another parent than the one that was seen, which has ended
// since; false: it has none.
func (p *Process) adoptedSince() bool {
	now, err := readStat(p.PID)
	if err != nil || now.start != p.Start || now.ppid == p.PPID {
		return false
	}
	p.PPID = now.ppid
	return true
}

// addAncestors reads those that the scan had no reason to keep. They may have
// ended since.
func (s scanner) addAncestors(ctx context.Context, all *Snapshot) error {
	var errs []error
	kept := map[int]bool{}
	for _, p := range all.Processes {
		kept[p.PID] = true
	}
	for i := 0; i < len(all.Processes); i++ { // it grows
		pid := all.Processes[i].PPID
		if pid == 0 || kept[pid] {
			continue
		}
		kept[pid] = true
		p, _, err := s.inspect(ctx, pid)
		switch {
		case err == nil:
			all.Processes = append(all.Processes, p)
		case errors.Is(err, ErrGone):
			delete(kept, pid) // others may have had it for a parent
			if all.Processes[i].adoptedSince() {
				i--
			}
		default:
			errs = append(errs, fmt.Errorf("cannot read process %d: %w", pid, err))
		}
	}
	sortByPID(all.Processes)
	return errors.Join(errs...)
}

func sortByPID(list []Process) {
	slices.SortFunc(list, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
}

type scanner struct {
	opts Options
	boot string
	self int
	uid  int // effective user id of the caller
}

// part is what one goroutine has found.
type part struct {
	processes  []Process
	scanned    int
	unreadable int
	closed     []ID
	errs       []error
}

func (s scanner) scan(ctx context.Context, pids []int32, first, step int) part {
	var found part
	for i := first; i < len(pids); i += step {
		if ctx.Err() != nil {
			found.errs = append(found.errs, fmt.Errorf("cannot scan processes: %w", ctx.Err()))
			return found
		}
		p, unreadable, err := s.look(ctx, int(pids[i]))
		if errors.Is(err, ErrGone) {
			continue
		}
		found.scanned++
		if err != nil {
			found.errs = append(found.errs, fmt.Errorf("cannot read process %d: %w", pids[i], err))
			continue
		}
		shut := false
		if unreadable {
			found.unreadable++
			if shut = s.own(int(pids[i])); shut {
				if p, _, err = s.inspect(ctx, int(pids[i])); err != nil {
					continue // it has ended
				}
				found.closed = append(found.closed, p.ID)
			}
		}
		if s.opts.Tree || shut || len(p.Signs) > 0 || slices.Contains(s.opts.Also, p.ID) {
			found.processes = append(found.processes, p)
		}
	}
	return found
}

func (s scanner) merge(parts []part) (Snapshot, error) {
	all := Snapshot{Boot: s.boot, Self: s.self}
	var errs []error
	for _, p := range parts {
		all.Processes = append(all.Processes, p.processes...)
		all.Scanned += p.scanned
		all.Unreadable += p.unreadable
		all.Closed = append(all.Closed, p.closed...)
		errs = append(errs, p.errs...)
	}
	sortByPID(all.Processes)
	return all, errors.Join(errs...)
}

// own says that the process is of the caller's user, and more than a thread of the
// kernel or one on its way out.
func (s scanner) own(pid int) bool {
	uid, err := readUID(pid)
	if err != nil || uid != s.uid {
		return false
	}
	st, err := readStat(pid)
	return err == nil && !st.state.IsDead() && !st.kernel && (!st.leaving || st.headless)
}

// look reads as little as tells whether the process is of interest, and only
// then the rest.
func (s scanner) look(ctx context.Context, pid int) (p Process, unreadable bool, err error) {
	if s.opts.Tree || s.asked(pid) {
		return s.inspect(ctx, pid)
	}
	_, marker, unreadable, err := readMarker(ctx, pid, s.opts.ReadEnv)
	if err != nil || len(marker.Signs) == 0 {
		return Process{}, unreadable, err
	}
	return s.inspect(ctx, pid)
}

func (s scanner) asked(pid int) bool {
	return slices.ContainsFunc(s.opts.Also, func(id ID) bool { return id.PID == pid })
}

// inspect reads everything about a process. The start time is read before and
// after the marker, since the PID may have gone to another process between.
func (s scanner) inspect(ctx context.Context, pid int) (p Process, unreadable bool, err error) {
	before, err := readStat(pid)
	if err != nil {
		return Process{}, false, err
	}
	args, marker, unreadable, err := readMarker(ctx, pid, s.opts.ReadEnv)
	if err != nil {
		return Process{}, false, err
	}
	uid, err := readUID(pid)
	if err != nil {
		return Process{}, false, err
	}
	if len(marker.Signs) > 0 {
		after, err := readStat(pid)
		if err != nil {
			return Process{}, false, err
		}
		if after.start != before.start {
			return Process{}, false, ErrGone
		}
	}
	p = Process{
		ID:   ID{PID: pid, Start: before.start, Boot: s.boot},
		PPID: before.ppid, PGID: before.pgid, SID: before.sid, UID: uid,
		State: before.state, Args: args, Marker: marker,
	}
	if len(marker.Signs) > 0 || pid == 1 || isReaper(p) {
		p.Cgroup, p.Contained = readPlace(pid)
	}
	if len(marker.Signs) == 0 && slices.Contains(s.opts.Also, p.ID) {
		p.Environment = readEnvState(ctx, pid)
	}
	return p, unreadable, nil
}

// readMarker reads the marker of a process. In the middle of execve(2) a
// process shows no arguments, no environment or neither, for an instant of
// which nobody tells when it is over. What is missing is looked for again
// until the memory that it lies in was the same before and after the look.
func readMarker(ctx context.Context, pid int, withEnv bool) (args []string, m Marker, unreadable bool, err error) {
	var before layout
	for range 50 {
		var env []string
		args, env, unreadable, err = readMarkerNow(ctx, pid, withEnv)
		if err != nil {
			return nil, Marker{}, unreadable, exceptPermission(err)
		}
		m = ParseMarker(args, env)
		if unreadable || m.Condemns || len(args) > 0 && (env != nil || !withEnv) {
			break
		}
		after, ok := memoryOf(pid)
		if !ok || after.envEnd != 0 && after == before {
			break
		}
		before = after
		time.Sleep(time.Millisecond)
	}
	return args, m, unreadable && !m.Condemns && len(args) > 0, nil
}

// readMarkerNow reads the arguments and, where it may matter, the environment:
// always beside an argument marker, which may lack its second sign; otherwise
// if asked to.
func readMarkerNow(ctx context.Context, pid int, withEnv bool) (args, env []string, unreadable bool, err error) {
	args, err = readArgs(ctx, pid)
	if err != nil {
		return nil, nil, errors.Is(err, fs.ErrPermission), err
	}
	if !withEnv && len(ParseMarker(args, nil).Signs) == 0 {
		return args, nil, false, nil
	}
	env, err = readEnv(ctx, pid)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return args, nil, true, nil
	case errors.Is(err, ErrGone):
		return args, nil, false, nil // also said of kernel threads and zombies
	}
	return args, env, false, err
}

// memoryOf says where arguments and environment lie, if the process has any
// memory: kernel threads and those on their way out do not.
func memoryOf(pid int) (layout, bool) {
	st, err := readStat(pid)
	if err != nil || st.kernel || st.leaving || st.state.IsDead() {
		return layout{}, false
	}
	return st.memory, true
}

func exceptPermission(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
