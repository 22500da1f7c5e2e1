package config

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// byDefault is the pool with the start method that nobody said.
func byDefault(p Pool) Pool {
	p.StartMethod = "spawn"
	if runtime.GOOS == "linux" && len(p.Command) == 0 {
		p.StartMethod, p.Standby = "forkserver", 1
	}
	return p
}

func TestStartMethod(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("workers are forked on Linux only")
	}
	for name, tt := range map[string]struct {
		flags, vars map[string]string
		file        string
		want        Pool // its start alone
		wrong       string
	}{
		"default":       {want: Pool{StartMethod: "forkserver", Standby: 1}},
		"of a command":  {flags: map[string]string{"command": "server"}, want: Pool{StartMethod: "spawn"}},
		"spawn":         {flags: map[string]string{"start-method": "spawn"}, want: Pool{StartMethod: "spawn"}},
		"all":           {flags: map[string]string{"start-method": "forkserver", "preload": "true", "standby": "3"}, want: Pool{StartMethod: "forkserver", Preload: true, Standby: 3}},
		"variables":     {vars: map[string]string{"SNAKEPIT_PRELOAD": "1", "SNAKEPIT_STANDBY": "0"}, want: Pool{StartMethod: "forkserver", Preload: true}},
		"file":          {file: "pools: {a: {start_method: spawn, preload: false}}", want: Pool{StartMethod: "spawn"}},
		"file, preload": {file: "pools: {a: {preload: true}}", want: Pool{StartMethod: "forkserver", Preload: true, Standby: 1}},

		"unknown":         {flags: map[string]string{"start-method": "fork"}, wrong: "cannot use --start-method fork: it is none of forkserver, spawn"},
		"not a switch":    {flags: map[string]string{"preload": "maybe"}, wrong: "cannot use --preload maybe: it is neither true nor false"},
		"text":            {file: "pools: {a: {preload: 'true'}}", wrong: "cannot use snakepit.yaml:1:22: preload must be true or false"},
		"negative":        {flags: map[string]string{"standby": "-1"}, wrong: "cannot use --standby -1: the number of workers that stand by must be from 0 to 64"},
		"too many":        {file: "pools: {a: {standby: 65}}", wrong: "cannot use standby 65 in snakepit.yaml:1:22: the number"},
		"command":         {flags: map[string]string{"command": "server", "start-method": "forkserver"}, wrong: "cannot use --start-method forkserver: the pool has a command"},
		"preloaded spawn": {flags: map[string]string{"start-method": "spawn", "preload": "true"}, wrong: "cannot use --preload true: the workers are spawned"},
		"spawn stands by": {file: "pools: {a: {start_method: spawn, standby: 2}}", wrong: "cannot use standby 2 in snakepit.yaml:1:43: the workers are spawned"},
		"command preload": {flags: map[string]string{"command": "server"}, vars: map[string]string{"SNAKEPIT_PRELOAD": "yes"}, wrong: "cannot use SNAKEPIT_PRELOAD=yes: it is neither"},
		"command standby": {flags: map[string]string{"command": "server"}, vars: map[string]string{"SNAKEPIT_STANDBY": "1"}, wrong: "cannot use SNAKEPIT_STANDBY=1: the workers are spawned"},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{WorkDir: t.TempDir(), Flags: tt.flags, Getenv: env(tt.vars)}
			if tt.file != "" {
				in.File = write(t, in.WorkDir, tt.file)
			}
			got, err := Load(in)
			if tt.wrong != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.wrong) {
					t.Errorf("err = %v\nwant  %s...", err, tt.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p := got.Pools[0]
			if diff := cmp.Diff(tt.want, Pool{StartMethod: p.StartMethod, Preload: p.Preload, Standby: p.Standby}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
