package supervisor

import (
	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// CheckLimits returns a *pool.LimitError when the system does not allow the workers of
// a run.
func CheckLimits(c config.Config) error { return pool.CheckLimits(Demand(c)) }

// Demand is what the workers of a run ask the system for.
func Demand(c config.Config) pool.Demand {
	var all pool.Demand
	for _, p := range c.Pools {
		all = demand(all, p, p.Workers)
	}
	return all
}

// demand is one, and so many workers of a pool more.
func demand(d pool.Demand, p config.Pool, workers int) pool.Demand {
	if len(p.Command) > 0 {
		d.Foreign += workers
	} else {
		d.Workers += workers
	}
	return d
}

// admit says whether the system allows so many workers of a pool more.
func (s *supervisor) admit(p config.Pool, more int) error {
	there := 0
	for _, each := range s.pools {
		there += each.Desired()
	}
	return pool.CheckMore(there, demand(pool.Demand{}, p, more))
}
