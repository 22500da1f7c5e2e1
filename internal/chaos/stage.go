package chaos

import (
	"cmp"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	random "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stage is where one iteration of a scenario plays: a directory, the runs in it,
// the bystanders, and what was noted.
type stage struct {
	opts     Options
	scenario Scenario
	dir      string
	rand     *random.Rand
	token    string // in the environment of every process of its runs
	decoys   []*decoy
	runs     []*run
	current  *run           // that the fault is for
	undo     []func() error // what else has to be taken back at the end, last one first
	signal   func(ident, syscall.Signal) error

	faultAt time.Time     // of the last fault
	hurt    []process     // those that the fault left unable to end by themselves
	target  worker        // the worker that the fault is for
	before  []process     // those that the fault is not for
	given   []string      // workers that were given up
	phase   time.Duration // how long the phase is in which the fault is injected
	disk    disk          // the trouble with the state directory

	started  bool   // a run of it was
	watching bool   // checks are told
	suffix   string // of the names of checks
	checks   []Check
	failed   bool
	skipped  string
	unusable *UnusableError
	timeline []Moment
}

// tokenVariable marks every process that descends from a run of ours, whatever
// becomes of the program's own markers.
const tokenVariable = "SNAKEPIT_CHAOS"

func newStage(base string, scenario Scenario, seed uint64, o Options) (*stage, error) {
	dir, err := os.MkdirTemp(base, "")
	if err != nil {
		return nil, fmt.Errorf("cannot make a private place: %w", err)
	}
	s := &stage{opts: o, scenario: scenario, dir: dir, rand: source(seed, scenario.Name), token: o.token + unique(4), watching: true, signal: send}
	for _, sub := range []string{"s", "r", "w"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, sub), 0o700))
	}
	return s, err
}

// tokenLength is of what all stages of one process have in common.
const tokenLength = 10

// unique is text that nobody else has: two of us may run with the same seed.
func unique(length int) string {
	raw := make([]byte, length)
	_, _ = rand.Read(raw) // it never fails (crypto/rand)
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw))[:length]
}

// newID makes a run id out of the seed, and something that is ours alone.
func (s *stage) newID() string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	id := []byte("chaos-")
	for range 4 {
		id = append(id, letters[s.rand.IntN(len(letters))])
	}
	return string(id) + unique(6)
}

// check notes what holds or not.
func (s *stage) check(c Check) {
	c.Name += s.suffix
	s.checks = append(s.checks, c)
	s.failed = s.failed || !c.Passed
	verdict := "holds"
	if !c.Passed {
		verdict = "DOES NOT HOLD"
	}
	s.note("check", "%s %s: %s", c.Name, verdict, c.Detail)
	if s.watching {
		s.opts.Watcher.Checked(c)
	}
}

func (s *stage) note(source, format string, args ...any) {
	s.timeline = append(s.timeline, Moment{time.Now(), source, fmt.Sprintf(format, args...)})
}

func (s *stage) doing(format string, args ...any) {
	s.opts.Watcher.Doing(fmt.Sprintf(format, args...))
}

// fault notes that one was injected just now.
func (s *stage) fault(format string, args ...any) {
	s.faultAt = time.Now()
	for _, r := range s.runs {
		r.lookedTo = r.newest
	}
	s.note("fault", format, args...)
	s.doing(format, args...)
}

// between is a random time in a range.
func (s *stage) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.rand.Int64N(int64(most-least)))
}

// self is who we are to those whom we meet.
func (s *stage) self() int { return os.Getpid() }

// story is what happened, in order, and the ends of the logs.
func (s *stage) story() ([]Moment, []LogTail) {
	moments := slices.Clone(s.timeline)
	var logs []LogTail
	for i, r := range s.runs {
		if slices.ContainsFunc(s.runs[:i], func(before *run) bool { return before.id == r.id }) {
			continue
		}
		for _, e := range r.readEvents() {
			moments = append(moments, Moment{e.Time, r.id, e.String()})
		}
		logs = append(logs, r.tails(12)...)
	}
	slices.SortStableFunc(moments, func(a, b Moment) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	return moments, logs
}

// strike takes the stage down: it ends whatever of its runs is alive, each process
// by its identity, and says who that was. The error names what is left all the same.
func (s *stage) strike() ([]process, error) {
	for _, r := range s.runs {
		r.release()
	}
	ended, err := s.endAll()
	for _, d := range s.decoys {
		err = errors.Join(err, d.end())
	}
	for _, undo := range slices.Backward(s.undo) {
		err = errors.Join(err, undo())
	}
	return ended, errors.Join(err, os.RemoveAll(s.dir))
}

// endAll kills everything with our token until two looks find nothing. Whom it may
// not end, it goes around.
func (s *stage) endAll() ([]process, error) {
	var ended []process
	deadline := time.Now().Add(20 * time.Second)
	for clean := 0; clean < 2; time.Sleep(5 * time.Millisecond) {
		all, err := scan()
		if err != nil {
			return ended, err
		}
		found := s.ours(all)
		if clean++; len(found) > 0 {
			clean = 0
		}
		var refused error
		refusals := 0
		for _, p := range found {
			if err := s.signal(p.ident, syscall.SIGKILL); err != nil && !errors.Is(err, errGone) {
				refused = errors.Join(refused, err)
				refusals++
				continue
			}
			if !slices.ContainsFunc(ended, func(e process) bool { return e.ident == p.ident }) {
				ended = append(ended, p)
			}
		}
		if len(found) > 0 && (refusals == len(found) || time.Now().After(deadline)) {
			return ended, errors.Join(fmt.Errorf("cannot end %s", describe(found)), refused)
		}
	}
	return ended, nil
}

// ours are the living processes of all runs of the stage that carry a sign of it.
func (s *stage) ours(all []process) []process {
	var found []process
	for _, p := range all {
		if p.dead() || s.isDecoy(p.ident) || p.pid == os.Getpid() {
			continue
		}
		if strings.HasPrefix(p.value(tokenVariable), s.token) || slices.ContainsFunc(s.runs, func(r *run) bool { return r.signed(p) }) {
			found = append(found, p)
		}
	}
	return found
}
