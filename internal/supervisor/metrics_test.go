package supervisor

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
)

// endedRun leaves the record of a run that has ended.
func endedRun(t *testing.T, runs, id string, end *rundir.End) {
	t.Helper()
	dir, err := rundir.Create(t.Context(), runs, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.WriteRecord(rundir.Record{State: rundir.StateEnded, End: end}); err != nil {
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEndedFindings(t *testing.T) {
	runs := t.TempDir()
	at := time.Now()
	endedRun(t, runs, "clean", &rundir.End{At: at, How: rundir.EndStopped, Confirmed: true})
	died := func(id string, survivors []int, by ...rundir.Cleanup) {
		end := &rundir.End{At: at, How: rundir.EndSupervisorDied, Survivors: survivors}
		for _, c := range by {
			end.Add(c.By, c.Found, c.Killed)
		}
		endedRun(t, runs, id, end)
	}
	died("crashed", []int{2}, rundir.Cleanup{By: "guard", Found: []int{1, 2}, Killed: []int{1}})
	died("swept", nil,
		rundir.Cleanup{By: "guard", Found: []int{3}, Killed: []int{3}}, rundir.Cleanup{By: "start", Found: []int{4, 5}, Killed: []int{4, 5}})
	died("again", nil, rundir.Cleanup{By: "kill-orphans", Found: []int{6}, Killed: []int{6}})

	dir, err := rundir.Create(t.Context(), runs, "again") // which empties its directory
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	now := swept{found: map[string][]int{"swept": {4, 5}}}
	got, err := endedFindings(runs, now)
	got = append(got, findingsOf(dir.Previous(), now)...)
	want := []telemetry.Findings{
		{RunID: "clean", Confirmed: true},
		{RunID: "crashed", Survivors: []int{2}},
		{RunID: "crashed", Source: "guard", Found: []int{1, 2}, Killed: []int{1}},
		{RunID: "swept"},
		{RunID: "swept", Source: "guard", Found: []int{3}, Killed: []int{3}},
		{RunID: "swept", Source: "start", Found: []int{}, Killed: []int{}},
		{RunID: "again"},
		{RunID: "again", Source: "kill-orphans", Found: []int{6}, Killed: []int{6}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestRefusedMetricsNameTheHolder(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	holder := "the port is held by PID " + strconv.Itoa(os.Getpid()) + " "
	for _, tt := range []struct {
		address, want string
		is            error
	}{
		{"127.0.0.1:" + port, holder, syscall.EADDRINUSE},
		{":" + port, holder, syscall.EADDRINUSE},
		{"192.0.2.1:0", "cannot assign requested address", syscall.EADDRNOTAVAIL}, // RFC 5737: nobody's
	} {
		taken, err := net.Listen("tcp", tt.address)
		if err == nil {
			taken.Close()
			t.Errorf("%s can be listened on", tt.address)
			continue
		}
		err = refusedMetrics(tt.address, err)
		var refused *MetricsError
		if !errors.As(err, &refused) || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), "cannot serve metrics on "+tt.address+": ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.address, err)
		}
	}
}

// Without metrics, everything that is done with them is done to nothing.
func TestNoMetrics(t *testing.T) {
	var none *metrics
	none.scan(time.Second)
	if none.address() != "" || none.calls() != nil || none.close() != nil {
		t.Error("there is something")
	}
}
