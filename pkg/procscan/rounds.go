package procscan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// maxRounds bounds how often EndRun and EndGroup look again. Each round but the
// last has ended something, and after the grace time every round kills at
// once; what still grows then grows faster than it can be killed.
const maxRounds = 32

// quietLooks is how many looks in a row have to find nobody new before a run of
// which something was seen is believed to be gone. A member that forks and ends
// every few milliseconds slips through most of them.
const quietLooks = 3

// EndRun ends every process that carries a condemning marker of the run, and
// looks again until there is no new one: members that were born meanwhile are
// ended too. All rounds together get one grace time. Processes for which
// except returns true are left alone and are no survivors; it may be nil.
//
// It returns what became of each process, and those that live. Only no
// survivors and no error mean that nothing of the run is left, as far as the
// caller may see, and but for a process that hops: whose parent forks it and ends,
// faster than one look takes. Once anything of the run was seen, three looks in a
// row have to miss it; where the first one already misses it, it is not found. Two
// calls at once do each other no harm.
func EndRun(ctx context.Context, runID string, except func(Process) bool, opts EndOptions) ([]Ended, []Process, error) {
	opts.Thorough = true
	var left []Process
	find := func(ctx context.Context) ([]Target, error) {
		snapshot, err := Scan(ctx, Options{ReadEnv: true})
		left = nil
		var targets []Target
		for _, p := range snapshot.Run(runID) {
			if except == nil || !except(p) {
				left = append(left, p)
				targets = append(targets, Target{ID: p.ID, RunID: runID})
			}
		}
		return targets, err
	}
	ended, err := EndAll(ctx, find, opts)
	if err != nil {
		err = fmt.Errorf("cannot end run %s: %w", runID, err)
	}
	return ended, left, err
}

// NotOf excepts from EndRun whatever carries the run's id but not its key: run ids
// can be chosen, and two users or two state directories can have a run of the same
// name. Who carries the key is of the run whatever user it has become, since
// nobody has such a value by accident. Without a key, other users' processes are
// excepted.
func NotOf(key string) func(Process) bool {
	uid := os.Geteuid()
	return func(p Process) bool { return p.Key != key || key == "" && p.UID != uid }
}

// EndGroup ends the living members of a process group whose leader was reaped
// at leaderEnded, a time of this process, and looks again until there is no
// new one. Without its leader, a group is known by its number only, which is
// free for others as soon as the group is empty: unless some member is older
// than the leader's end, the group is another one and is left alone.
func EndGroup(ctx context.Context, leader ID, leaderEnded time.Time, opts EndOptions) ([]Ended, error) {
	ours, proven := leaderEnded, false // ours: a time at which the group was this one
	find := func(ctx context.Context) ([]Target, error) {
		if proven {
			ours = time.Now() // the members of the last round have only just gone
		}
		members, err := groupMembers(ctx, leader.PID)
		if err != nil || !anyStartedBy(members, ours) {
			return nil, err
		}
		proven = true
		targets := make([]Target, len(members))
		for i, id := range members {
			targets[i] = Target{ID: id, TrustIdentity: true}
		}
		return targets, nil
	}
	ended, err := EndAll(ctx, find, opts)
	if err != nil {
		err = fmt.Errorf("cannot end process group %d: %w", leader.PID, err)
	}
	return ended, err
}

// EndAll ends what find returns until it returns nothing new; with opts.Thorough,
// until it has done so three times in a row. All rounds together get one grace time. What could not be ended is not tried again. find is called
// once more after the last round, even when the context has ended, since it
// tells who is left.
func EndAll(ctx context.Context, find func(context.Context) ([]Target, error), opts EndOptions) ([]Ended, error) {
	deadline := time.Now().Add(opts.Grace)
	met := map[ID]bool{}
	var all []Ended
	quiet := 0 // looks in a row without anybody new
	for range maxRounds {
		targets, err := find(context.WithoutCancel(ctx))
		fresh := slices.DeleteFunc(targets, func(t Target) bool { return met[t.ID] })
		if ctx.Err() != nil {
			return all, errors.Join(err, ctx.Err())
		}
		if len(fresh) == 0 {
			if quiet++; !opts.Thorough || len(met) == 0 || quiet == quietLooks {
				return all, err
			}
			continue
		}
		quiet = 0
		for _, t := range fresh {
			met[t.ID] = true
		}
		opts.Grace = max(0, time.Until(deadline))
		all = append(all, End(ctx, fresh, opts)...)
	}
	_, err := find(context.WithoutCancel(ctx))
	return all, errors.Join(err, fmt.Errorf("new processes appear faster than they can be ended (%d rounds)", maxRounds))
}

// groupMembers returns the living members of a process group. It reads one
// file of each process, not the command lines.
func groupMembers(ctx context.Context, pgid int) ([]ID, error) {
	boot, err := thisBoot()
	if err != nil {
		return nil, err
	}
	pids, err := listPIDs(ownProc(ctx))
	if err != nil {
		return nil, err
	}
	var members []ID
	for _, pid := range pids {
		st, err := readStat(int(pid))
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read process %d: %w", pid, err)
		}
		if st.pgid == pgid && !st.state.IsDead() {
			members = append(members, ID{PID: int(pid), Start: st.start, Boot: boot})
		}
	}
	return members, nil
}

func anyStartedBy(ids []ID, latest time.Time) bool {
	for _, id := range ids {
		if at, err := StartedAt(id); err == nil && !at.After(latest) {
			return true
		}
	}
	return false
}
