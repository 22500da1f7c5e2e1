package supervisor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

func TestPoolOptions(t *testing.T) {
	c := config.Config{
		RunID: "demo", Host: "127.0.0.2", ReadyTimeout: 1, Grace: 2, ReleaseTimeout: 3, MaxRestarts: 4, RestartWindow: 5,
		HealthInterval: 6, HealthTimeout: 7, ResourceCleanup: config.ResourcesOff,
	}
	p := config.Pool{Name: "a", Workers: 8, BasePort: 9, MaxMemory: 10, TTL: 11, MaxCalls: 12}
	want := pool.Options{
		RunID: "demo", Host: "127.0.0.2", ReadyTimeout: 1, Grace: 2, ReleaseTimeout: 3, MaxRestarts: 4, RestartWindow: 5,
		HealthInterval: 6, HealthTimeout: 7, LeaveResources: true,
		Name: "a", Workers: 8, BasePort: 9, MaxMemory: 10, TTL: 11, MaxCalls: 12,
	}
	if diff := cmp.Diff(want, poolOptions(c, p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A pool takes zero for "not said" where a setting means none.
func TestPoolOptionsOfNone(t *testing.T) {
	c := config.Config{RestartWindow: time.Second, HealthTimeout: time.Second, ResourceCleanup: config.ResourcesWait}
	want := pool.Options{
		Grace: -1, MaxRestarts: -1, RestartWindow: time.Second, HealthInterval: -1, HealthTimeout: time.Second,
	}
	if diff := cmp.Diff(want, poolOptions(c, config.Pool{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
