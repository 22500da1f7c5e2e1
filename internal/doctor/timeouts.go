package doctor

import (
	"fmt"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
)

// The pause before a restart grows by half from the first to the longest (pkg/pool).
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 30 * time.Second
)

// timeouts looks for those that contradict each other. The configuration has been
// checked already: what is refused by a start is not told again.
func (e *examination) timeouts() {
	const name = "time-outs"
	if !e.needsConfig(name) {
		return
	}
	slowest := imported{}
	for _, i := range e.imports {
		if i.Took > slowest.Took {
			slowest = i
		}
	}
	found := judgeTimeouts(e.Config, slowest.adapter, slowest.Took)
	for _, c := range found {
		e.tell(c)
	}
	if len(found) == 0 {
		c := e.Config
		e.ok(name, "ready %v, grace %v, release %v, health %v every %v, restarts %d/%v: they fit each other",
			c.ReadyTimeout, c.Grace, c.ReleaseTimeout, c.HealthTimeout, c.HealthInterval, c.MaxRestarts, c.RestartWindow)
	}
}

// judgeTimeouts is told how long the slowest adapter took to be imported.
func judgeTimeouts(c config.Config, adapter string, took time.Duration) []Check {
	var found []Check
	say := func(state State, hint, format string, args ...any) {
		found = append(found, Check{Name: "time-outs", State: state, Evidence: fmt.Sprintf(format, args...), Hint: hint})
	}
	if ms := took.Round(time.Millisecond); took >= c.ReadyTimeout {
		say(Fail, fmt.Sprintf("--ready-timeout %v", seconds(3*took)),
			"a worker may take %v to become ready, and the import of %s alone took %v", c.ReadyTimeout, adapter, ms)
	} else if 2*took > c.ReadyTimeout {
		say(Warn, fmt.Sprintf("--ready-timeout %v", seconds(3*took)),
			"a worker may take %v to become ready; the import of %s took %v here, and takes longer when many start together", c.ReadyTimeout, adapter, ms)
	}
	for _, p := range c.Pools {
		if p.TTL > 0 && p.TTL <= c.ReadyTimeout {
			say(Warn, fmt.Sprintf("--ttl %v, or a shorter --ready-timeout", 10*c.ReadyTimeout),
				"pool %s: a worker is replaced when it is %v old, and may take %v to become ready", p.Name, p.TTL, c.ReadyTimeout)
		}
	}
	if c.Grace == 0 {
		say(Warn, fmt.Sprintf("--grace %v", config.DefaultGrace), "grace 0s: workers are killed at once, in the middle of their calls")
	}
	if c.HealthInterval == 0 {
		say(Warn, fmt.Sprintf("--health-interval %v", config.DefaultHealthInterval), "health_interval 0s: nobody notices a worker that hangs")
	} else if c.HealthTimeout < time.Second {
		say(Warn, fmt.Sprintf("--health-timeout %v", config.DefaultHealthTimeout),
			"health_timeout %v: a worker that is busy for longer in native code, and answers nobody, counts as hung", c.HealthTimeout)
	}
	if least := fastestStorm(c.MaxRestarts); least > c.RestartWindow {
		say(Warn, fmt.Sprintf("a window longer than that: --max-restarts %d/%v", c.MaxRestarts, seconds(2*least)),
			"max_restarts %d/%v gives nobody up: the pauses between so many restarts take %v at the least", c.MaxRestarts, c.RestartWindow, least.Round(time.Second))
	}
	return found
}

// fastestStorm is how long it takes at the least until one restart more than these
// is due: the pauses before each, with half of each for jitter.
func fastestStorm(restarts int) time.Duration {
	var sum time.Duration
	for i, pause := 0, firstPause; i < restarts && sum < 1000*time.Hour; i++ {
		sum += pause / 2
		pause = min(pause*3/2, longestPause)
	}
	return sum
}

// seconds rounds up to whole ones.
func seconds(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
