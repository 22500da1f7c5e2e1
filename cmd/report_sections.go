package cmd

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/doctor"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// What a report shows of a run.
const (
	reportEvents   = 120 // events
	reportLogs     = 12  // logs
	reportLogLines = 60  // lines of each
)

func (r *issueReport) versions(ctx context.Context) string {
	v := thisVersion()
	lines := []string{
		fmt.Sprintf("snakepit  %s, commit %s", v.Version, cmp.Or(v.Commit, "unknown")),
		fmt.Sprintf("Go        %s, %s/%s, %s", v.Go, v.OS, v.Arch, count(runtime.NumCPU(), "CPU", "CPUs")),
	}
	info, err := host.InfoWithContext(ctx)
	r.problem(err)
	if info != nil {
		lines = append(lines, fmt.Sprintf("OS        %s %s, kernel %s, up %s", info.Platform, info.PlatformVersion, info.KernelVersion,
			humanDuration(time.Duration(info.Uptime)*time.Second)))
	}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		lines = append(lines, fmt.Sprintf("memory    %s of %s available", humanBytes(memory.Available), humanBytes(memory.Total)))
	} else {
		r.problem(err)
	}
	lines = append(lines, "Python    "+r.python(ctx))
	if r.found != nil && r.found.Record != nil {
		lines = append(lines, fmt.Sprintf("run       of snakepit %s, control API %d", r.found.Record.Version, r.found.Record.ControlAPI))
	}
	return strings.Join(append(lines, "set       "+cmp.Or(strings.Join(setVariables(os.Environ()), ", "), "nothing that matters")), "\n")
}

func (r *issueReport) python(ctx context.Context) string {
	s := r.subject
	found, err := pyenv.Look(ctx, pyenv.Options{Python: s.Config.Python, VirtualEnv: s.VirtualEnv, CacheDir: s.CacheDir, Path: s.Path})
	switch {
	case err != nil:
		return err.Error()
	case found.ToMake:
		return found.Version + " at " + found.Python + ", from which the first start makes an environment"
	}
	return fmt.Sprintf("%s at %s (%s)", found.Version, found.Python, found.Source)
}

// setVariables are the names of the variables that change what snakepit or Python
// does; their values stay where they are.
func setVariables(env []string) []string {
	var names []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		for _, prefix := range []string{"SNAKEPIT_", "XDG_", "PYTHON", "VIRTUAL_ENV", "GRPC_", "OMP_", "NO_COLOR", "TMPDIR", "GODEBUG", "GOMAXPROCS"} {
			if strings.HasPrefix(name, prefix) {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// doctor examines the start of the run, by its own configuration, or one by the
// settings that are given here.
func (r *issueReport) doctor(ctx context.Context) string {
	s := r.subject
	if c, err := r.recorded(); err != nil {
		r.problem(err)
	} else if c != nil {
		s.Config, s.Invalid = *c, c.Validate()
		if r.found.Alive {
			s.Running = r.found.RunID
		}
	}
	env, _ := captured(r.env)
	p := doctorPrinter{env: env, styles: newStyles(env.Out)}
	var lines []string
	var checks []doctor.Check
	doctor.Examine(ctx, s, func(c doctor.Check) {
		checks = append(checks, c)
		lines = append(lines, p.draw(c))
	})
	return strings.Join(append(lines, summaryOf(checks)), "\n")
}

// recorded is the configuration of the run; nil when there is none.
func (r *issueReport) recorded() (*config.Config, error) {
	if r.found == nil || r.found.Record == nil || len(r.found.Record.Config) == 0 {
		return nil, nil
	}
	var c config.Config
	if err := json.Unmarshal(r.found.Record.Config, &c); err != nil {
		return nil, fmt.Errorf("cannot read the configuration of run %s: %w", r.found.RunID, err)
	}
	return &c, nil
}

// runs are all that live, and the one that is reported on.
func (r *issueReport) runs(ctx context.Context) string {
	env, _ := captured(r.env)
	o := &listOptions{env: env, patience: 2 * time.Second, output: &outputFlag{value: "wide"}}
	runs, warnings, err := o.look(ctx)
	r.problem(err)
	r.problems = append(r.problems, warnings...)
	if r.found != nil && !slices.ContainsFunc(runs, func(run *runStatus) bool { return run.RunID == r.found.RunID }) {
		runs = append([]*runStatus{o.ask(ctx, *r.found)}, runs...)
	}
	for _, run := range runs {
		run.measure(run.askedAt)
	}
	if len(runs) == 0 {
		return "no run is alive, and none is left on disk"
	}
	text, warnings := o.draw(ctx, runs, 0)
	r.problems = append(r.problems, warnings...)
	if r.found != nil && !r.found.Alive {
		text += r.registry()
	}
	return text
}

// registry is what a dead run's says, if anything.
func (r *issueReport) registry() string {
	entries, err := rundir.ReadRegistry(r.found.Dir)
	r.problem(err)
	text := ""
	for _, e := range entries {
		text += fmt.Sprintf("\nregistered: %s  PID %d  port %d  incarnation %d", e.Worker, e.PID, e.Port, e.Incarnation)
	}
	return text
}

func (r *issueReport) events() string {
	if r.found == nil {
		return ""
	}
	env, out := captured(r.env)
	reader := &eventReader{}
	lines, err := rundir.ReadLog(rundir.EventsPath(r.found.Dir), reportEvents)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.problem(err)
	}
	events := reader.parse(lines)
	if reader.broken > 0 {
		r.problems = append(r.problems, fmt.Sprintf("%s of %s", count(reader.broken, "broken line", "broken lines"), rundir.EventsPath(r.found.Dir)))
	}
	for i := range events {
		events[i].Time = events[i].Time.UTC()
	}
	utc := *env
	utc.Now = func() time.Time { return r.env.Now().UTC() }
	r.problem(newEventPrinter(&utc).print(events))
	return out.String()
}

// logs shows the supervisor's, then those of the workers that printed last: that is
// where something went wrong, as a rule.
func (r *issueReport) logs() {
	if r.found == nil {
		return
	}
	names, err := logFolder{dir: r.found.Dir, chosen: []string{supervisorLog}}.names()
	r.problem(err)
	slices.SortStableFunc(names, func(a, b string) int { return r.logChanged(b).Compare(r.logChanged(a)) })
	if at := slices.Index(names, supervisorLog); at > 0 {
		names = slices.Insert(slices.Delete(names, at, at+1), 0, supervisorLog)
	}
	if left := len(names) - reportLogs; left > 0 {
		r.problems = append(r.problems, count(left, "log", "logs")+" of workers that printed longer ago left out")
		names = names[:reportLogs]
	}
	if len(names) == 0 {
		r.section("Logs", "text", "", logsBytes, keepTail)
	}
	for _, name := range names {
		lines, err := rundir.ReadLog(rundir.LogPath(r.found.Dir, name), reportLogLines)
		r.problem(err)
		var text strings.Builder
		for _, line := range lines {
			if !line.Time.IsZero() {
				text.WriteString(line.String() + "\n")
			} else {
				text.WriteString(line.Text + "\n")
			}
		}
		r.section("Log of "+r.clean(oneLine(name), 100), "text", text.String(), logsBytes/len(names), keepTail)
	}
}

func (r *issueReport) logChanged(name string) time.Time {
	info, err := os.Stat(rundir.LogPath(r.found.Dir, name))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// configuration is that of the run, or of the start that was asked for.
func (r *issueReport) configuration() {
	document, err := json.Marshal(r.subject.Config)
	title := "Configuration"
	if r.found != nil {
		title = "Configuration of a start from here, since that of the run is not known"
	}
	switch {
	case r.found != nil && r.found.Record != nil && len(r.found.Record.Config) > 0:
		title, document = "Configuration", r.found.Record.Config
	case r.subject.Invalid != nil:
		r.section(title, "text", r.subject.Invalid.Error(), configBytes, keepHead)
		return
	case err != nil:
		r.problem(err)
		return
	}
	text, err := r.secrets.JSON(document)
	if err != nil {
		r.problem(fmt.Errorf("cannot show the configuration: %w", err))
		return
	}
	var lines []string
	scanner := bufio.NewScanner(strings.NewReader(text))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, harmless(scanner.Text(), false))
	}
	r.problem(scanner.Err())
	r.block(title, "json", cutLines(lines, configBytes, keepHead))
}
