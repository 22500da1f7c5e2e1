package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// watch looks at once, and again after every interval, until Ctrl-C. Polling,
// because it is for what changes without an event.
func watch(ctx context.Context, env *Env, interval time.Duration, look func(ctx context.Context, first bool) error) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	if screenOf(env.Out).terminal() {
		defer fmt.Fprintln(env.Out) // the prompt does not follow the ^C
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for first := true; ; first = false {
		err := look(ctx, first)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// showLook prints one look for people: a frame over the frame before, or, where
// there is no terminal, one more text under a line with the time.
func showLook(env *Env, interval time.Duration, text string, first bool) error {
	size, now := screenOf(env.Out), env.Now()
	if size.terminal() {
		title := newStyles(env.Out).faint.Render(fmt.Sprintf("%s  every %s, Ctrl-C ends", now.Format(time.TimeOnly), interval))
		_, err := fmt.Fprint(env.Out, frame(title+"\n\n"+text, size, first))
		return err
	}
	_, err := fmt.Fprintf(env.Out, "%s\n%s\n\n", now.Format(time.RFC3339), text)
	return err
}

// runWatch shows memory and CPU, which change without an event.
func (o *listOptions) runWatch(ctx context.Context) error {
	cpu := &cpuMeter{}
	var warned []string
	return watch(ctx, o.env, o.interval, func(ctx context.Context, first bool) error {
		runs, warnings, err := o.look(ctx)
		if err != nil || ctx.Err() != nil {
			return err
		}
		cpu.measure(runs)
		if !screenOf(o.env.Err).terminal() || !screenOf(o.env.Out).terminal() {
			warned = o.warnOnce(warned, warnings)
			warnings = nil
		}
		return o.show(ctx, runs, warnings, first)
	})
}

func (o *listOptions) warnOnce(warned, warnings []string) []string {
	for _, warning := range warnings {
		if !slices.Contains(warned, warning) {
			fmt.Fprintln(o.env.Err, newStyles(o.env.Err).warning(warning))
			warned = append(warned, warning)
		}
	}
	return warned
}

// show prints one look: a line of JSON, or the tables.
func (o *listOptions) show(ctx context.Context, runs []*runStatus, warnings []string, first bool) error {
	if o.output.value == "json" {
		return json.NewEncoder(o.env.Out).Encode(listDocument{SchemaVersion: 1, Runs: runs})
	}
	text, more := o.draw(ctx, runs, screenOf(o.env.Out).width)
	if ctx.Err() != nil {
		return nil
	}
	if len(runs) == 0 {
		text = nothingAlive
	}
	for _, warning := range slices.Concat(warnings, more) {
		text += "\n" + newStyles(o.env.Out).warning(warning)
	}
	return showLook(o.env, o.interval, text, first)
}

// frame draws text from the top of the screen, over what was there: a line is
// cleared as it is replaced, so that nothing flickers. What does not fit is
// counted. The last line stays free for the cursor.
func frame(text string, size screen, first bool) string {
	lines := strings.Split(text, "\n")
	if room := size.height - 1; len(lines) > room {
		lines = append(lines[:max(0, room-1)], fmt.Sprintf("… %d more lines", len(lines)-max(0, room-1)))
	}
	var out strings.Builder
	if first {
		out.WriteString(ansi.EraseEntireScreen)
	}
	out.WriteString(ansi.CursorHomePosition)
	for _, line := range lines {
		out.WriteString(ansi.Truncate(line, size.width, "…") + ansi.EraseLineRight + "\n")
	}
	out.WriteString(ansi.EraseScreenBelow)
	return out.String()
}

// cpuMeter tells the CPU use since the last look.
type cpuMeter struct {
	last map[cpuKey]cpuSample
}

// cpuKey is one process: what came before in the slot has another incarnation.
type cpuKey struct {
	run, worker string
	incarnation uint64
}

type cpuSample struct {
	seconds float64
	at      time.Time
}

// measure fills in what depends on the time of looking. At the first look at a
// process, its CPU use is that of its whole life.
func (m *cpuMeter) measure(runs []*runStatus) {
	now := map[cpuKey]cpuSample{}
	for _, run := range runs {
		run.measure(run.askedAt)
		for _, p := range run.Pools {
			for _, w := range p.Workers {
				key := cpuKey{run.RunID, w.ID, w.Incarnation}
				now[key] = cpuSample{w.cpuSeconds, run.askedAt}
				before, known := m.last[key]
				if passed := run.askedAt.Sub(before.at).Seconds(); known && passed > 0 && w.PID > 0 {
					w.CPUPercent = max(0, percent(w.cpuSeconds-before.seconds, passed))
				}
			}
		}
	}
	m.last = now
}
