package cmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/holders"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// somePorts are of every state.
func somePorts(now time.Time) []holders.Port {
	target := func(port int, worker, state string) holders.Target {
		return holders.Target{Host: "127.0.0.1", Port: port, RunID: "demo", Worker: worker, State: state}
	}
	python := "/home/ada/.cache/snakepit/python/0123456789abcdef/bin/python grpc_server.py --port 5000"
	worker := holders.Holder{
		Owner:   portcheck.Owner{PID: 4711, Command: python, User: "ada", RunID: "demo", Worker: "default-0", Address: "127.0.0.1:5000", State: "LISTEN"},
		Verdict: procscan.Managed, Since: now.Add(-200 * time.Second),
	}
	worker.What = holders.Serving
	orphan, stray, stranger := worker, worker, worker
	orphan.What, stray.What, stranger.What = holders.Orphan, holders.Stray, holders.Held
	orphan.Verdict, orphan.RunID, orphan.Worker = procscan.Orphan, "old", "default-7"
	stray.Verdict, stray.PID = procscan.Stray, 4712
	stranger.Owner = portcheck.Owner{PID: 99, Command: "nc -l \x1b[31m5004", User: "bob", Address: "0.0.0.0:5004", State: "LISTEN"}
	stranger.Verdict = ""
	denied := holders.Holder{What: holders.Held, Owner: portcheck.Owner{Unseen: portcheck.Denied, User: "root", Address: "[::]:5005", State: "LISTEN"}}
	return []holders.Port{
		{Target: target(5000, "default-0", "ready"), State: holders.Serving, Holders: []holders.Holder{worker}},
		{Target: target(5001, "default-1", "stopped"), State: holders.Free},
		{Target: target(5002, "default-2", "blocked"), State: holders.Orphan, Holders: []holders.Holder{orphan, stranger}},
		{Target: target(5003, "default-3", "blocked"), State: holders.Stray, Holders: []holders.Holder{stray}},
		{Target: holders.Target{Host: "127.0.0.1", Port: 5004}, State: holders.Held, Holders: []holders.Holder{stranger}},
		{Target: holders.Target{Host: "127.0.0.1", Port: 5005}, State: holders.Held, Holders: []holders.Holder{denied}},
		{Target: holders.Target{Host: "127.0.0.1", Port: 5006}, State: holders.Held},
		{Target: holders.Target{Host: "127.0.0.1", Port: 80}, State: holders.Forbidden, Problem: "cannot bind 127.0.0.1:80: permission denied"},
		{Target: holders.Target{Host: "127.0.0.1", Port: 5007}, State: holders.Free},
	}
}

func TestPortsTable(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ports := somePorts(now)
	for _, tt := range []struct {
		name  string
		width int
		wide  bool
	}{{"ports.txt", 0, false}, {"ports_80.txt", 80, false}, {"ports_wide.txt", 80, true}} {
		v := view{styles: newStyles(&bytes.Buffer{}), width: tt.width, now: now, wide: tt.wide}
		text := v.styles.table(v.portColumns(ports)) + "\n" + portSummary(ports) + "\n" + strings.Join(portHints(ports), "\n")
		checkGolden(t, tt.name, text)
	}
}

func TestParsePorts(t *testing.T) {
	for text, want := range map[string][2]int{"1": {1, 1}, "65535": {65535, 65535}, "5000-5007": {5000, 5007}} {
		if first, last, err := parsePorts(text); err != nil || first != want[0] || last != want[1] {
			t.Errorf("%s: %d, %d, %v", text, first, last, err)
		}
	}
	for _, text := range []string{"", "0", "65536", "-1", "7-5", "5-", "a", "5-7-9", "1e3"} {
		if first, last, err := parsePorts(text); err == nil {
			t.Errorf("%q: %d-%d", text, first, last)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	f.Add("5000-5007")
	f.Fuzz(func(t *testing.T, text string) {
		if first, last, err := parsePorts(text); err == nil && (first < 1 || last > 65535 || first > last) {
			t.Errorf("%q: %d-%d", text, first, last)
		}
	})
}
