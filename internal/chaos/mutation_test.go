package chaos

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mutationsVariable asks for TestMutations, which builds the program once for each.
const mutationsVariable = "SNAKEPIT_TEST_MUTATIONS"

// edit replaces text of a file of the program, for one build.
type edit struct{ file, old, new string }

// mutation breaks one behaviour, and names the scenario that has to notice it.
type mutation struct {
	what     string
	edits    []edit
	scenario string
	check    string // one that fails
}

func mutations() []mutation {
	return []mutation{
		{"no KILL after TERM", []edit{
			{"pkg/pool/ending.go", "	w.signal(syscall.SIGKILL, \"KILL\")\n", ""},
		}, "ignores_term", "stop" + secondRun},
		{"no wait for the release of a port", []edit{
			{"pkg/pool/release.go", "if !w.opts.LeaveResources {", "if w.opts.LeaveResources {"},
		}, "port_not_releasing", "exit code of restart"},
		{"no guard", []edit{
			{"internal/supervisor/guards.go", "if !s.wantsGuard() {", "if true {"},
		}, "normal_shutdown", "the scenario goes on"},
		{"no lifeline", []edit{
			{"pkg/pool/exec.go", "if !slices.Contains(l.without, Lifeline) {", "if false {"},
			{"pkg/pool/forkserver.go", "!slices.Contains(l.without, Lifeline)}", "false}"},
		}, "ignores_term", "no survivor"},
		{"a guard that ends nobody", []edit{
			{"internal/guard/main.go", "	verdict := p.look(ctx, true)\n", "	verdict := Verdict{}\n"},
		}, "setsid_grandchild", "no survivor"},
		{"ends a bare PID", []edit{
			{"pkg/procscan/id.go", "Start: st.start, Boot: boot}", "Start: 1, Boot: boot}"},
			{"pkg/procscan/scan.go", "Start: before.start, Boot: s.boot}", "Start: 1, Boot: s.boot}"},
			{"pkg/procscan/registered.go", "func RegisteredOnly(p Process, s Snapshot, f *Facts) (missing string) {\n", "func RegisteredOnly(p Process, s Snapshot, f *Facts) (missing string) {\n	return \"\"\n"},
		}, "decoys", "bystanders"},
		{"takes the beginning of a run id for the whole", []edit{
			{"pkg/procscan/snapshot.go", "p.RunID == runID && !p.State", "len(p.RunID) >= len(runID) && p.RunID[:len(runID)] == runID && !p.State"},
			{"pkg/procscan/rounds.go", "NotOf(key string) func(Process) bool {", "NotOf(key string) func(Process) bool {\n	return func(Process) bool { return false }\n"},
		}, "supervisor_crash", "record"},
		{"an argument alone condemns", []edit{
			{"pkg/procscan/marker.go", "m.RunID, m.Condemns = argument.runID, argument.entryPoint\n		if !m.Condemns", "m.RunID, m.Condemns = argument.runID, true\n		if !m.Condemns"},
			{"pkg/procscan/rounds.go", "NotOf(key string) func(Process) bool {", "NotOf(key string) func(Process) bool {\n	return func(Process) bool { return false }\n"},
		}, "supervisor_crash", "the scenario goes on"},
		{"says success without a look", []edit{
			{"internal/supervisor/descendants.go", "	targets := func(ctx context.Context) ([]procscan.Target, error) {\n", "	targets := func(ctx context.Context) ([]procscan.Target, error) {\n		if true {\n			return nil, nil\n		}\n"},
			{"internal/guard/main.go", "	verdict := p.look(ctx, false)\n", "	verdict := Verdict{}\n"},
			{"pkg/pool/adopted.go", "	find := func(ctx context.Context) ([]procscan.Target, error) {\n", "	find := func(ctx context.Context) ([]procscan.Target, error) {\n		if true {\n			return nil, nil\n		}\n"},
		}, "setsid_grandchild", "its word" + secondRun},
		{"leaves a worker in the registry", []edit{
			{"internal/supervisor/output.go", "return r.file.Remove(worker)", "return nil"},
		}, "normal_shutdown", "registry, socket, lock"},
		{"does not hold its lock", []edit{
			{"internal/rundir/lock.go", "	ok, err := lock.TryLock()\n", "	file, err := os.OpenFile(lock.Path(), os.O_CREATE|os.O_RDONLY, fileMode)\n	ok := err == nil && file.Close() == nil\n"},
			{"internal/rundir/lock.go", "	if stillThere(lock) {", "	if true || stillThere(lock) {"},
		}, "port_not_releasing", "the scenario goes on"},
		{"leaves the socket", []edit{
			{"internal/rundir/settle.go", "removeStaleSocket(record.Socket))", "nil)"},
		}, "supervisor_crash", "registry, socket, lock"},
		{"reports a wrong count", []edit{
			{"internal/telemetry/findings.go", "found, killed := len(f.Found), len(f.Killed)", "found, killed := len(f.Found)+1, len(f.Killed)"},
		}, "kill_during_shutdown", "events"},
		{"does not say whom it has killed", []edit{
			{"internal/guard/main.go", "Found: verdict.Found, Killed: verdict.Killed, Survivors: verdict.Survivors, Confirmed", "Found: verdict.Found, Survivors: verdict.Survivors, Confirmed"},
		}, "kill_during_shutdown", "record"},
		{"counts its supervisor among the killed", []edit{
			{"internal/guard/main.go", "	verdict := p.look(ctx, true)\n", "	verdict := p.look(ctx, true)\n	verdict.Found, verdict.Killed = append(verdict.Found, p.supervisor.PID), append(verdict.Killed, p.supervisor.PID)\n"},
		}, "kill_during_shutdown", "record"},
		{"tells everything twice", []edit{
			{"internal/guard/main.go", "		events.Emit(event)\n", "		events.Emit(event)\n		events.Emit(event)\n"},
		}, "kill_during_shutdown", "events"},
		{"names others as killed", []edit{
			{"internal/telemetry/findings.go", "Count: &killed, PIDs: f.Killed}", "Count: &killed, PIDs: []int{1}}"},
		}, "kill_during_shutdown", "events"},
		{"does not notice that a worker hangs", []edit{
			{"pkg/pool/options.go", "	setDefault(&o.HealthTimeout, 15*time.Second)\n", "	o.HealthTimeout = time.Hour\n"},
		}, "hung_worker", "back on its port"},
		{"does not replace a guard", []edit{
			{"internal/supervisor/guards.go", "	pid, wanted := s.guards.bury()\n	if !wanted {", "	pid, wanted := s.guards.bury()\n	if true || !wanted {"},
		}, "guard_killed", "another guard"},
	}
}

// The program has what each mutation changes.
func TestMutationsMeetTheProgram(t *testing.T) {
	for _, m := range mutations() {
		overlaid(t, filepath.Join("..", ".."), t.TempDir(), m.edits)
	}
}

// Each mutation of the program is noticed, and the program as it is passes. The
// mutated files reach the compiler by an overlay: nothing in the program can be
// switched off.
//
//	SNAKEPIT_TEST_MUTATIONS=1 go test ./internal/chaos -run Mutations -timeout 30m -v
func TestMutations(t *testing.T) {
	if os.Getenv(mutationsVariable) == "" {
		t.Skip(mutationsVariable + " is not set")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	plain := build(t, root, nil)
	for _, m := range mutations() {
		t.Run(m.what, func(t *testing.T) {
			program := build(t, root, m.edits)
			if failed := failures(t, plain, m.scenario); len(failed) > 0 {
				t.Fatalf("%s fails without it: %v", m.scenario, failed)
			}
			failed := failures(t, program, m.scenario)
			if _, noticed := failed[m.check]; !noticed {
				t.Errorf("%s does not notice it by %q; what failed: %v", m.scenario, m.check, failed)
			}
			t.Logf("%s: %v", m.scenario, failed)
		})
	}
}

// overlaid writes the files as the edits make them, and returns where they are.
func overlaid(t *testing.T, root, dir string, edits []edit) map[string]string {
	t.Helper()
	overlay := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(root, e.file)
		source := path
		if replaced, again := overlay[path]; again {
			source = replaced
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), e.old) != 1 {
			t.Fatalf("%s does not have once: %q", e.file, e.old)
		}
		overlay[path] = filepath.Join(dir, strings.ReplaceAll(e.file, "/", "_"))
		if err := os.WriteFile(overlay[path], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// build builds the program with the edits.
func build(t *testing.T, root string, edits []edit) string {
	t.Helper()
	dir := t.TempDir()
	list, err := json.Marshal(map[string]any{"Replace": overlaid(t, root, dir, edits)})
	if err != nil {
		t.Fatal(err)
	}
	listed := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(listed, list, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "snakepit")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-overlay", listed, "-o", program, ".")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// failures plays a scenario with a program, and returns the checks that failed.
func failures(t *testing.T, program, scenario string) map[string]string {
	t.Helper()
	chosen, _ := Select([]string{scenario})
	j := &journal{}
	report, err := Run(t.Context(), chosen, Options{
		Program: program, Env: os.Environ(), WorkDir: t.TempDir(), Timeout: 90 * time.Second, Seed: 1, Watcher: j,
		Pool: Pool{Flags: []string{"--workers", "2"}, Workers: 2, Guard: "kill"},
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]string{}
	for _, c := range report.Results[0].Checks {
		if !c.Passed {
			failed[c.Name] = c.Detail
		}
	}
	return failed
}
