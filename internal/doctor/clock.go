package doctor

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// clocks are what the checks of time are made of.
type clocks struct {
	lookup  error     // why a process cannot be identified: boot id, /proc
	started time.Time // of this process, by the kernel's ticks
	now     time.Time
	built   time.Time
	jump    time.Duration // of the wall clock, while the doctor looked
	// set is by how much it was set since a living run was started, and which one.
	set time.Duration
	run string
}

// How far clocks may be apart: ticks are 10 ms, and a wall clock that is adjusted
// slowly, as NTP does, is no jump.
const (
	sameMoment = 2 * time.Second
	smallJump  = 200 * time.Millisecond
)

// noEarlier is a time before which no program of this kind was built: for those
// that do not know when they were.
func noEarlier() time.Time { return time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }

func (e *examination) clock(began instant) {
	c := clocks{now: e.Now(), built: e.Built, jump: began.jump(now())}
	self, err := procscan.Lookup(os.Getpid())
	if err == nil {
		c.started, err = procscan.StartedAt(self)
	}
	c.lookup = err
	c.set, c.run = e.sinceStart(self.Boot)
	e.tell(judgeClock(c))
}

// sinceStart compares when living runs were started, as they wrote down by the wall
// clock, with what the kernel's ticks say of it now.
func (e *examination) sinceStart(boot string) (time.Duration, string) {
	found, _, err := rundir.List(e.Runs)
	if err != nil {
		return 0, "" // told with the state directory
	}
	for _, f := range found {
		if !f.Alive || f.Record == nil || f.Record.Supervisor.Boot != boot || f.Record.Supervisor.StartedAt.IsZero() {
			continue
		}
		ticks, err := procscan.StartedAt(f.Record.Supervisor.ID())
		if set := ticks.Round(0).Sub(f.Record.Supervisor.StartedAt); err == nil && set.Abs() > sameMoment {
			return set, f.RunID
		}
	}
	return 0, ""
}

func judgeClock(c clocks) Check {
	check := Check{Name: "clock", State: Fail}
	built := c.built
	if built.IsZero() {
		built = noEarlier()
	}
	switch age := c.now.Sub(c.started); {
	case errors.Is(c.lookup, procscan.ErrOtherNamespace):
		check.Evidence = c.lookup.Error()
		check.Hint = "mount -t proc proc /proc in this namespace; unshare has --mount-proc for it"
	case c.lookup != nil:
		check.Evidence = fmt.Sprintf("processes cannot be told apart: %v", c.lookup)
		check.Hint = "look: cat /proc/sys/kernel/random/boot_id /proc/self/stat; a container needs its own /proc"
	case c.now.Before(built):
		check.Evidence = fmt.Sprintf("the clock says %s, which is before this program was built (%s)", c.now.UTC().Format(time.RFC3339), built.UTC().Format(time.DateOnly))
		check.Hint = "set the clock: timedatectl set-ntp true"
	case age < -sameMoment || age > 24*time.Hour:
		check.Evidence = fmt.Sprintf("the kernel's ticks say that this process was started %v ago", age.Round(time.Second))
		check.Hint = "look: cat /proc/uptime; getconf CLK_TCK; date"
	case c.jump.Abs() > smallJump:
		check.State = Warn
		check.Evidence = fmt.Sprintf("the wall clock was set by %v while this looked", c.jump.Round(time.Millisecond))
		check.Hint = "times in logs and events are not to be trusted; see who sets it: timedatectl status"
	case c.run != "":
		check.State = Warn
		check.Evidence = fmt.Sprintf("the wall clock was set by %v since run %s was started", c.set.Round(time.Second), c.run)
		check.Hint = "times before that in its logs and events are off by as much; see: timedatectl status"
	default:
		check.State = OK
		check.Evidence = fmt.Sprintf("%s; boot id, /proc and ticks are readable, wall and monotonic clock agree to %v",
			c.now.UTC().Format(time.RFC3339), c.jump.Abs().Round(time.Millisecond))
	}
	return check
}
