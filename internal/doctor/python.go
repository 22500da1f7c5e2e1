package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/pyenv"
	"github.com/snakepit-dev/snakepit/internal/supervisor"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// needsPython skips a check of a run whose pools all have a command of their own.
func (e *examination) needsPython(name string) bool {
	if !e.needsConfig(name) {
		return false
	}
	if !e.Config.NeedsPython() {
		e.skip(name, "every pool has a command of its own")
		return false
	}
	return true
}

func (e *examination) findPython(ctx context.Context) {
	const name = "python"
	if !e.needsPython(name) {
		return
	}
	found, err := pyenv.Look(ctx, pyenv.Options{Python: e.Config.Python, VirtualEnv: e.VirtualEnv, CacheDir: e.CacheDir, Path: e.Path})
	if err != nil {
		hint := ""
		if unfit, ok := errors.AsType[*pyenv.Error](err); ok {
			hint = unfit.Hint
		}
		e.fail(name, hint, "%v", err)
		return
	}
	e.python, e.pythonOK = found, !found.ToMake
	switch {
	case found.ToMake:
		e.ok(name, "Python %s at %s; the first start makes an environment from it, in %s", found.Version, found.Python, e.CacheDir)
	case found.Notice != "":
		e.warn(name, "", "%s", found.Notice)
	default:
		e.ok(name, "Python %s at %s (%s)", found.Version, found.Python, found.Source)
	}
}

// trial is one import: of an adapter, with the environment of these pools.
type trial struct {
	adapter string
	pools   []config.Pool
}

// trials are as many as there are adapters, or more where pools give one of them
// different environments: it may be imported in one of these and not in another.
func trials(pools []config.Pool) []*trial {
	var all []*trial
	for _, p := range pools {
		if p.Adapter == "" {
			continue
		}
		at := slices.IndexFunc(all, func(t *trial) bool { return t.adapter == p.Adapter && maps.Equal(t.pools[0].Env, p.Env) })
		if at < 0 {
			all = append(all, &trial{adapter: p.Adapter})
			at = len(all) - 1
		}
		all[at].pools = append(all[at].pools, p)
	}
	return all
}

// name says which one it is, where there are several of one adapter.
func (t trial) name(all []*trial) string {
	for _, other := range all {
		if other.adapter == t.adapter && other.pools[0].Name != t.pools[0].Name {
			return t.adapter + " of pool " + t.pools[0].Name
		}
	}
	return t.adapter
}

// importAdapters imports each adapter in each environment that pools give it.
func (e *examination) importAdapters(ctx context.Context) {
	const name = "adapter"
	if !e.needsPython(name) {
		return
	}
	if e.python.ToMake {
		e.skip(name, "there is no Python environment yet to import it in")
		return
	}
	if !e.pythonOK {
		e.skip(name, "there is no Python to import it with")
		return
	}
	all := trials(e.Config.Pools)
	for _, t := range all {
		env := supervisor.Environment(t.pools[0], e.python.Source)
		got, err := pyenv.TryImport(ctx, pyenv.ImportOptions{
			Python: e.python.Python, Adapter: t.adapter, PythonPath: e.Config.PythonPath,
			// Which worker it is says nothing of a run, and is no marker without one.
			Env: append(env, procscan.WorkerIDEnv+"="+t.pools[0].Name+"-0"), Limit: e.Config.ReadyTimeout,
		})
		if err != nil {
			e.tell(notImported(t.name(all), t.adapter, err))
			continue
		}
		e.imports = append(e.imports, imported{t.adapter, t.pools, got})
		e.ok(name, "%s imported in %v, %d MB; %s", t.name(all), got.Took.Round(time.Millisecond), got.PeakBytes/1e6, versions(got.Packages))
	}
}

func versions(packages map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		all = append(all, name+" "+packages[name])
	}
	return strings.Join(all, ", ")
}

func notImported(name, adapter string, err error) Check {
	c := Check{Name: "adapter", State: Fail, Evidence: fmt.Sprintf("%s: %v", name, err)}
	failed, ok := errors.AsType[*pyenv.ImportError](err)
	if !ok {
		return c
	}
	c.Hint = failed.Hint
	switch {
	case failed.Kind == "hung":
		c.Hint = "mend what hangs there; if it is only slow: --ready-timeout 2m"
	case failed.Kind == "ended":
		c.Hint = "find what ends the process: os._exit in the module, or a crash in native code"
	case c.Hint == "":
		c.Hint = "mend it; try by hand: python -c 'import " + strings.SplitN(adapter, ":", 2)[0] + "'"
	}
	if failed.Kind == "hung" || failed.Kind == "ended" {
		for _, line := range failed.Last {
			c.Evidence += "\n" + strings.TrimSpace(line)
		}
	}
	return c
}

// forkserver says whether a process could be forked that has imported what workers
// need, and one that has imported the adapter as well: a fork copies one thread, and
// what the others hold stays locked in the copy.
func (e *examination) forkserver() {
	const name = "forkserver"
	if !e.needsPython(name) {
		return
	}
	if len(e.imports) == 0 {
		e.skip(name, "no adapter could be imported")
		return
	}
	for _, i := range e.imports {
		e.tell(judgeThreads(i))
	}
}

func judgeThreads(i imported) Check {
	c := Check{Name: "forkserver", State: OK, Evidence: fmt.Sprintf("%s leaves one thread after its import: it can be imported before the fork", i.adapter)}
	switch {
	case i.Threads == 0:
		c.State, c.Evidence = Skipped, "this system does not tell how many threads a process has"
	case i.ThreadsBefore > 1:
		c.State = Warn
		c.Evidence = fmt.Sprintf("there are %d threads once gRPC is imported, before any adapter: no worker can be forked, all are spawned", i.ThreadsBefore)
		c.Hint = "look for what starts them: a sitecustomize, a .pth file, a tracer in the environment"
	case i.Threads > 1:
		known := "none of them Python's: a native library starts them"
		if len(i.ThreadNames) > 0 {
			known = "Python's: " + strings.Join(i.ThreadNames, ", ")
		}
		c.State = Warn
		c.Evidence = fmt.Sprintf("%s has %d threads after its import (%s): it cannot be imported before the fork", i.adapter, i.Threads, known)
		c.Hint = "start threads in the adapter's __init__, not while the module is imported"
	}
	return c
}
