package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// Which pools a request is about.

// named is a pool that can be asked for its workers.
type named interface {
	Name() string
	Worker(id string) pool.Status
}

func has(p named, worker string) bool { return p.Worker(worker).Worker != "" }

func namesOf[P named](pools []P) string {
	var names []string
	for _, p := range pools {
		names = append(names, p.Name())
	}
	return strings.Join(names, ", ")
}

// choose finds the one pool that a request means: the one named, or the
// worker's, or the only one.
func choose[P named](pools []P, name, worker string) (P, error) {
	var none P
	for _, p := range pools {
		if name == p.Name() || (name == "" && worker != "" && has(p, worker)) {
			return p, nil
		}
	}
	switch {
	case name != "":
		return none, fmt.Errorf("%w: no pool %q; the run has %s", pool.ErrNoWorker, name, namesOf(pools))
	case len(pools) == 1:
		return pools[0], nil
	case worker == "":
		return none, fmt.Errorf("%w: the run has %s", ErrWhichPool, namesOf(pools))
	}
	return none, fmt.Errorf("%w: no worker %q in the pools %s", pool.ErrNoWorker, worker, namesOf(pools))
}

// share is one pool's part of a request.
type share struct {
	keeper
	workers []string // empty: all
}

// sharesOf gives each pool those of the workers that are its own, without
// workers everything: to all pools, or to the one named. A worker that there is
// not is ErrNoWorker, as long as nothing is done.
func sharesOf(pools []keeper, name string, workers []string) ([]share, error) {
	if name != "" {
		p, err := choose(pools, name, "")
		if err != nil {
			return nil, err
		}
		pools = []keeper{p}
	}
	var unknown []string
	for _, worker := range workers {
		if !slices.ContainsFunc(pools, func(p keeper) bool { return has(p, worker) }) {
			unknown = append(unknown, fmt.Sprintf("%q", worker))
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("%w: %s; there are %s", pool.ErrNoWorker, strings.Join(unknown, ", "), idsOf(pools))
	}
	var shares []share
	for _, p := range pools {
		own := share{keeper: p}
		for _, worker := range workers {
			if has(p, worker) && !slices.Contains(own.workers, worker) {
				own.workers = append(own.workers, worker)
			}
		}
		if len(workers) == 0 || len(own.workers) > 0 {
			shares = append(shares, own)
		}
	}
	return shares, nil
}

// idsOf names the workers of pools by the first and the last of each.
func idsOf(pools []keeper) string {
	var ranges []string
	for _, p := range pools {
		all := p.Status()
		text := all[0].Worker
		if len(all) > 1 {
			text += " to " + all[len(all)-1].Worker
		}
		ranges = append(ranges, text)
	}
	return strings.Join(ranges, ", ")
}
