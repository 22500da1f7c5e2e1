package config

import (
	"encoding/json"
	"fmt"
	"time"
)

// jsonConfig adds as text what JSON has no form for to the fields that need no
// translation.
type jsonConfig struct {
	plainConfig
	ReadyTimeout   string `json:"ready_timeout"`
	Grace          string `json:"grace"`
	ReleaseTimeout string `json:"release_timeout"`
	MaxRestarts    string `json:"max_restarts"`
	HealthInterval string `json:"health_interval"`
	HealthTimeout  string `json:"health_timeout"`
}

type plainConfig Config

// MarshalJSON writes the durations as Go duration strings.
func (c Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonConfig{
		plainConfig: plainConfig(c), ReadyTimeout: c.ReadyTimeout.String(), Grace: c.Grace.String(),
		ReleaseTimeout: c.ReleaseTimeout.String(), MaxRestarts: formatRestarts(c.MaxRestarts, c.RestartWindow),
		HealthInterval: c.HealthInterval.String(), HealthTimeout: c.HealthTimeout.String(),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote. It checks no rule: see Validate.
func (c *Config) UnmarshalJSON(data []byte) error {
	var in jsonConfig
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("cannot read a configuration: %w", err)
	}
	out := Config(in.plainConfig)
	for _, d := range []struct {
		key, text string
		to        *time.Duration
	}{
		{"ready_timeout", in.ReadyTimeout, &out.ReadyTimeout},
		{"grace", in.Grace, &out.Grace},
		{"release_timeout", in.ReleaseTimeout, &out.ReleaseTimeout},
		{"health_interval", in.HealthInterval, &out.HealthInterval},
		{"health_timeout", in.HealthTimeout, &out.HealthTimeout},
	} {
		var err error
		if *d.to, err = time.ParseDuration(d.text); err != nil {
			return fmt.Errorf("cannot read %s: %w", d.key, err)
		}
	}
	var f *fault
	if out.MaxRestarts, out.RestartWindow, f = parseRestarts(in.MaxRestarts); f != nil {
		return fmt.Errorf("cannot read max_restarts %s: %s", show(in.MaxRestarts), f.reason)
	}
	*c = out
	return nil
}

// jsonPool is for a pool what jsonConfig is for a run.
type jsonPool struct {
	plainPool
	TTL string `json:"ttl,omitempty"`
}

type plainPool Pool

// MarshalJSON writes the time to live as a Go duration string; none is left out.
func (p Pool) MarshalJSON() ([]byte, error) {
	out := jsonPool{plainPool: plainPool(p)}
	if p.TTL != 0 {
		out.TTL = p.TTL.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Pool) UnmarshalJSON(data []byte) error {
	var in jsonPool
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("cannot read a pool: %w", err)
	}
	out := Pool(in.plainPool)
	if in.TTL != "" {
		var err error
		if out.TTL, err = time.ParseDuration(in.TTL); err != nil {
			return fmt.Errorf("cannot read ttl: %w", err)
		}
	}
	*p = out
	return nil
}
