package config

import (
	"fmt"
	"runtime"
	"strconv"
)

// How the workers of a pool are started.

const (
	onlyLinux = "workers can be forked on Linux only"
	spawnHint = "choose spawn, or leave it out"
)

// maxStandby is far more than any pool restarts at once.
const maxStandby = 64

func checkStartMethod(text string) *fault {
	if f := checkChoice(text, StartForkserver, StartSpawn); f != nil {
		return f
	}
	if text == StartForkserver && runtime.GOOS != "linux" {
		return &fault{onlyLinux, spawnHint}
	}
	return nil
}

func checkStandby(n int) *fault {
	if n >= 0 && n <= maxStandby {
		return nil
	}
	return &fault{
		fmt.Sprintf("the number of workers that stand by must be from 0 to %d", maxStandby),
		fmt.Sprintf("give a whole number from 0 to %d", maxStandby),
	}
}

func parseSwitch(text string) (bool, *fault) {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, &fault{"it is neither true nor false", "give true or false"}
	}
	return on, nil
}

// completeStart fills in how the pool's workers are started, and refuses what
// contradicts itself; given are the settings as they were written.
func (p *Pool) completeStart(given map[string]value) error {
	if _, said := given["start_method"]; !said {
		p.StartMethod = StartSpawn
		if len(p.Command) == 0 && runtime.GOOS == "linux" {
			p.StartMethod = StartForkserver
		}
	}
	_, isStandby := given["standby"]
	if !isStandby && p.StartMethod == StartForkserver {
		p.Standby = DefaultStandby
	}
	if key, f := p.checkStart(); f != nil {
		return given[key].bad(f)
	}
	return nil
}

// checkStart looks for what contradicts itself, and says in which setting.
func (p Pool) checkStart() (key string, f *fault) {
	switch {
	case p.StartMethod == StartForkserver && len(p.Command) > 0:
		return "start_method", &fault{"the pool has a command, and only workers with an adapter can be forked", spawnHint}
	case p.StartMethod == StartForkserver:
		return "", nil
	case p.Preload:
		return "preload", &fault{"the workers are spawned, so that nothing can be imported before", forkHint}
	case p.Standby > 0:
		return "standby", &fault{"the workers are spawned, and only forks can stand by", forkHint}
	}
	return "", nil
}

const forkHint = "leave it out, or choose --start-method forkserver for a pool with an adapter (on Linux)"

// validateStart checks how the workers of the pool are started.
func (p Pool) validateStart() error {
	what := map[string]string{
		"start_method": "start_method " + show(p.StartMethod),
		"preload":      fmt.Sprintf("preload %t", p.Preload),
		"standby":      fmt.Sprintf("standby %d", p.Standby),
	}
	if f := checkStartMethod(p.StartMethod); f != nil {
		return f.on(p.label(what["start_method"]))
	}
	if f := checkStandby(p.Standby); f != nil {
		return f.on(p.label(what["standby"]))
	}
	if key, f := p.checkStart(); f != nil {
		return f.on(p.label(what[key]))
	}
	return nil
}
