package chaos

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// failedOf are the details of the checks that failed, by name.
func failedOf(s *stage) string {
	var words []string
	for _, c := range s.checks {
		if !c.Passed {
			words = append(words, c.Name+": "+c.Detail)
		}
	}
	return strings.Join(words, "\n")
}

const running = `{"state":"running","supervisor":{"pid":14}}`

// A run that nobody saw end must claim nothing, and nobody may be left behind what
// it has left.
func TestNothingClaimed(t *testing.T) {
	for name, tt := range map[string]struct {
		leave func(t *testing.T, r *run)
		want  string
	}{
		"as it must be": {func(*testing.T, *run) {}, ""},
		"a dead worker": {func(t *testing.T, r *run) {
			write(t, r.dir()+"/workers.json", `{"workers":[{"worker":"a-0","pid":4194303,"start":1}]}`)
		}, ""},
		"a living worker":   {func(t *testing.T, r *run) { registerMe(t, r) }, "is registered and alive"},
		"an end":            {func(t *testing.T, r *run) { write(t, r.dir()+"/run.json", `{"state":"ended","end":{"how":"stopped"}}`) }, "record: "},
		"half a record":     {func(t *testing.T, r *run) { write(t, r.dir()+"/run.json", `{"sta`) }, "record: cannot read"},
		"a verdict":         {func(t *testing.T, r *run) { write(t, r.dir()+"/events.jsonl", `{"event":"cleanup_success","count":0}`) }, "events: 1 event"},
		"a broken registry": {func(t *testing.T, r *run) { write(t, r.dir()+"/workers.json", `{`) }, "cannot read the registry"},
		"somebody answers":  {serve, "somebody answers on the socket"},
	} {
		t.Run(name, func(t *testing.T) {
			r := toldRun(t, endFile{})
			write(t, filepath.Join(r.dir(), "run.json"), running)
			r.stage.current = r
			tt.leave(t, r)
			if err := nothingClaimed(t.Context(), r.stage); err != nil {
				t.Fatal(err)
			}
			if got := failedOf(r.stage); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func registerMe(t *testing.T, r *run) {
	t.Helper()
	me, err := lookup(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.dir(), "workers.json"), `{"workers":[{"worker":"a-0","pid":`+strconv.Itoa(me.pid)+`,"start":`+strconv.FormatUint(me.start, 10)+`}]}`)
}

func serve(t *testing.T, r *run) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	r.record.Socket = socket
}

// How far a start had come decides what has to be written down of its end.
func TestEndOfStart(t *testing.T) {
	const guard = `{"event":"guard_started","pid":15}`
	const success = `{"event":"cleanup_success","count":0}`
	died := func(pid string) string {
		return `{"state":"ended","supervisor":{"pid":` + pid + `},"end":{"how":"supervisor_died","confirmed":true}}`
	}
	for name, tt := range map[string]struct {
		record, events, want string
	}{
		"no record yet":              {"", "", ""},
		"no guard yet":               {running, "", ""},
		"its guard has seen it":      {died("14"), guard + "\n" + success, ""},
		"its guard says nothing":     {running, guard, "it does not say how the run ended"},
		"a guard, and no record":     {"", guard, "it does not say how the run ended"},
		"of the run before":          {died("9"), guard + "\n" + success, ""},
		"of the run before, no end":  {`{"state":"running","supervisor":{"pid":9}}`, guard, "record: "},
		"another end":                {strings.Replace(died("14"), "supervisor_died", "stopped", 1), guard + "\n" + success, `it ended as "stopped"`},
		"a verdict without an end":   {running, success, "events: "},
		"an end without any verdict": {died("14"), guard, "events: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := toldRun(t, endFile{}, tt.events)
			path := filepath.Join(r.dir(), "run.json")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if tt.record != "" {
				write(t, path, tt.record)
			}
			r.supervisor.pid = 14
			r.stage.current = r
			if err := endOfStart(t.Context(), r.stage); err != nil {
				t.Fatal(err)
			}
			if got := failedOf(r.stage); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A run that could not write down its end may say nothing, but nothing false.
func TestNothingFalse(t *testing.T) {
	for name, tt := range map[string]struct{ record, events, want string }{
		"no end":         {running, "", ""},
		"a true one":     {`{"state":"ended","end":{"how":"stopped","confirmed":true}}`, `{"event":"cleanup_success","count":0}`, ""},
		"a false one":    {`{"state":"ended","end":{"how":"stopped","found":[11]}}`, "", "nothing to find"},
		"half a record":  {`{"state`, "", "it is whole: no"},
		"a false event":  {running, `{"event":"orphaned_processes_found","count":1,"pids":[11]}`, "events: "},
		"one told twice": {running, "{\"event\":\"cleanup_success\"}\n{\"event\":\"cleanup_success\"}", "events: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := toldRun(t, endFile{}, tt.events)
			write(t, filepath.Join(r.dir(), "run.json"), tt.record)
			r.stage.current = r
			if err := nothingFalse(t.Context(), r.stage); err != nil {
				t.Fatal(err)
			}
			if got := failedOf(r.stage); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
