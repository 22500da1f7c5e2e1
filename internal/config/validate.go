package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"
)

// Validate checks every rule on a complete configuration and returns the first
// broken one as an *Error. Load has called it; call it again on a
// configuration that came from elsewhere, such as another process.
func (c Config) Validate() error {
	if f := checkRunID(c.RunID); f != nil {
		return f.on("the run id " + show(c.RunID))
	}
	if f := checkPython(c.Python); f != nil {
		return f.on("the Python interpreter " + show(c.Python))
	}
	if err := c.validatePythonPath(); err != nil {
		return err
	}
	host, f := parseHost(c.Host)
	if f == nil && host != c.Host {
		f = &fault{"the address is not in its normal form", "write it as " + host}
	}
	if f != nil {
		return f.on("the host " + show(c.Host))
	}
	if err := c.validateTimes(); err != nil {
		return err
	}
	if f := checkRestarts(c.MaxRestarts, c.RestartWindow); f != nil {
		return f.on("max_restarts " + formatRestarts(c.MaxRestarts, c.RestartWindow))
	}
	if f := checkOrphans(c.Orphans); f != nil {
		return f.on("orphans " + show(c.Orphans))
	}
	if f := checkCleanup(c.EmergencyCleanup); f != nil {
		return f.on("emergency_cleanup " + show(c.EmergencyCleanup))
	}
	if f := checkResources(c.ResourceCleanup); f != nil {
		return f.on("resource_cleanup " + show(c.ResourceCleanup))
	}
	metrics, f := parseMetrics(c.Metrics)
	if f == nil && metrics != c.Metrics {
		f = &fault{"the address is not in its normal form", "write it as " + metrics}
	}
	if f != nil {
		return f.on("metrics " + show(c.Metrics))
	}
	if f := checkLogFormat(c.LogFormat); f != nil {
		return f.on("log_format " + show(c.LogFormat))
	}
	return c.validatePools()
}

func (c Config) validateTimes() error {
	for _, t := range []struct {
		name  string
		time  time.Duration
		check func(time.Duration) *fault
	}{
		{"ready timeout", c.ReadyTimeout, checkReadyTimeout},
		{"grace time", c.Grace, checkGrace},
		{"release timeout", c.ReleaseTimeout, checkReleaseTimeout},
		{"health interval", c.HealthInterval, checkHealthInterval},
		{"health timeout", c.HealthTimeout, checkHealthTimeout},
	} {
		if f := t.check(t.time); f != nil {
			return f.on(fmt.Sprintf("the %s %v", t.name, t.time))
		}
	}
	if f := checkHealth(c.HealthInterval, c.HealthTimeout); f != nil {
		return f.on(fmt.Sprintf("the health timeout %v", c.HealthTimeout))
	}
	return nil
}

func (c Config) validatePythonPath() error {
	for _, dir := range c.PythonPath {
		f := checkDirectory(dir)
		if f == nil && !filepath.IsAbs(dir) {
			f = &fault{"the path is not absolute", "give an absolute path"}
		}
		if f != nil {
			return f.on("python path " + show(dir))
		}
	}
	return nil
}

func (c Config) validatePools() error {
	if len(c.Pools) == 0 {
		return (&fault{"there are none", "define at least one pool"}).on("pools")
	}
	for i, p := range c.Pools {
		if err := p.validate(); err != nil {
			return err
		}
		if p.MaxMemory > 0 && c.HealthInterval == 0 {
			f := &fault{"a worker's memory is looked at with each health check, and there are none", "give a --health-interval such as 5s"}
			return f.on(p.label(fmt.Sprintf("max_memory %dB", p.MaxMemory)))
		}
		if i > 0 && c.Pools[i-1].Name >= p.Name {
			return (&fault{"pools must be sorted and their names distinct", "rename one of them"}).on("pool " + show(p.Name))
		}
	}
	return c.validatePorts()
}

func (p Pool) validate() error {
	if f := checkPoolName(p.Name); f != nil {
		return f.on("the pool name " + show(p.Name))
	}
	if f := checkWorkers(p.Workers); f != nil {
		return f.on(p.label(fmt.Sprintf("workers %d", p.Workers)))
	}
	if err := p.validateProgram(); err != nil {
		return err
	}
	if err := p.validateStart(); err != nil {
		return err
	}
	if f := checkBasePort(p.BasePort); f != nil {
		return f.on(p.label(fmt.Sprintf("base port %d", p.BasePort)))
	}
	if f := checkMemory(p.MaxMemory); f != nil {
		return f.on(p.label(fmt.Sprintf("max_memory %dB", p.MaxMemory)))
	}
	if f := checkTTL(p.TTL); f != nil {
		return f.on(p.label(fmt.Sprintf("ttl %v", p.TTL)))
	}
	if f := checkMaxCalls(p.MaxCalls); f != nil {
		return f.on(p.label(fmt.Sprintf("max_calls %d", p.MaxCalls)))
	}
	if p.MaxCalls > 0 && len(p.Command) > 0 {
		f := &fault{"workers with a command take no calls from snakepit, so that there is nothing to count", "leave it out, or limit their age: ttl"}
		return f.on(p.label(fmt.Sprintf("max_calls %d", p.MaxCalls)))
	}
	for _, key := range sortedKeys(p.Env) {
		if f := checkEnv(key, p.Env[key]); f != nil {
			return f.on(p.label("env " + show(key)))
		}
	}
	return nil
}

// metricsPort is the port of the metrics, if workers with that number would meet it;
// else 0. Two addresses of one machine have their ports each.
func (c Config) metricsPort() int {
	host, text, err := net.SplitHostPort(c.Metrics)
	if err != nil || host != c.Host && !everyAddress(host) && !everyAddress(c.Host) {
		return 0
	}
	port, _ := strconv.Atoi(text) // it has been checked
	return port
}

func everyAddress(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// validatePorts checks that every pool's ports exist and that no two pools, and no
// pool and the metrics, want the same one.
func (c Config) validatePorts() error {
	for i, p := range c.Pools {
		first, last := p.ports()
		if first == 0 {
			continue
		}
		if last > maxPort {
			return (&fault{
				fmt.Sprintf("%d workers need the ports %d to %d, and the last port is %d", p.Workers, first, last, maxPort),
				fmt.Sprintf("use a base port of at most %d, or fewer workers", maxPort-p.Workers+1),
			}).on(p.label(fmt.Sprintf("base port %d", first)))
		}
		if port := c.metricsPort(); port >= first && port <= last {
			return (&fault{
				fmt.Sprintf("its ports %d to %d have that of the metrics, %s, among them", first, last, c.Metrics),
				"serve the metrics on another port, or move the base port",
			}).on(p.label(fmt.Sprintf("base port %d", first)))
		}
		for _, q := range c.Pools[:i] {
			otherFirst, otherLast := q.ports()
			if otherFirst != 0 && first <= otherLast && otherFirst <= last {
				return (&fault{
					fmt.Sprintf("its ports %d to %d overlap those of pool %q, %d to %d", first, last, q.Name, otherFirst, otherLast),
					"move one of the base ports, or leave it out to use free ports",
				}).on(p.label(fmt.Sprintf("base port %d", first)))
			}
		}
	}
	return nil
}
