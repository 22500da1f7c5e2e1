package procscan

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMarker(t *testing.T) {
	envOf := func(run string) []string {
		return []string{"HOME=/root", RunIDEnv + "=" + run, WorkerIDEnv + "=default-3"}
	}
	const arg, entry, environ = SignArgument, SignEntryPoint, SignEnvironment
	python := func(rest ...string) []string { return append([]string{"python3", "/a/grpc_server.py"}, rest...) }

	for name, tt := range map[string]struct {
		args, env []string
		runID     string
		worker    string
		signs     []Sign
		condemns  bool
	}{
		"nothing":                {args: []string{"sleep", "1"}, env: []string{"HOME=/root"}},
		"kernel thread":          {},
		"worker":                 {python("--port", "0", RunIDFlag, "run_1"), envOf("run_1"), "run_1", "default-3", []Sign{arg, entry, environ}, true},
		"worker, env unreadable": {python(RunIDFlag, "run_1"), nil, "run_1", "", []Sign{arg, entry}, true},
		"worker, joined":         {python(RunIDFlag + "=run_1"), nil, "run_1", "", []Sign{arg, entry}, true},
		"another entry point":    {[]string{"python3", "grpc_server_threaded.py", RunIDFlag, "X"}, nil, "X", "", []Sign{arg, entry}, true},
		"run id of another host": {python(RunIDFlag, "Ab.12:é"), nil, "Ab.12:é", "", []Sign{arg, entry}, true},
		"same id twice":          {python(RunIDFlag, "X", RunIDFlag+"=X"), nil, "X", "", []Sign{arg, entry}, true},
		"descendant":             {[]string{"sleep", "99"}, envOf("run_1"), "run_1", "default-3", []Sign{environ}, true},
		"argument and env":       {[]string{"my-worker", RunIDFlag, "X"}, envOf("X"), "X", "default-3", []Sign{arg, environ}, true},

		"grep":                       {args: []string{"grep", "--", RunIDFlag, "X"}, runID: "X", signs: []Sign{arg}},
		"grep in the script":         {args: []string{"grep", "-r", "--", RunIDFlag, "X", "python/grpc_server.py"}, runID: "X", signs: []Sign{arg}},
		"search, script before":      {args: []string{"ack", "in", "grpc_server.py", "--", RunIDFlag, "X"}, runID: "X", signs: []Sign{arg}},
		"editor":                     {args: []string{"vim", RunIDFlag + "=X"}, runID: "X", signs: []Sign{arg}},
		"editor, then script":        {args: []string{"vim", RunIDFlag + "=X", "grpc_server.py"}, runID: "X", signs: []Sign{arg}},
		"editor, one long argument":  {args: []string{"vim", "notes on " + RunIDFlag + " X"}},
		"shell, one long argument":   {args: []string{"sh", "-c", "python3 grpc_server.py " + RunIDFlag + " X; true"}},
		"pgrep":                      {args: []string{"pgrep", "-f", "grpc_server.py.*" + RunIDFlag + " X"}},
		"entry point alone":          {args: python("--port", "0")},
		"script of a similar name":   {args: []string{"python3", "my_grpc_server.py", RunIDFlag, "X"}, runID: "X", signs: []Sign{arg}},
		"flag of a similar name":     {args: python(RunIDFlag+"s", "X", "-"+RunIDFlag, "X")},
		"name of the program":        {args: []string{RunIDFlag, "X"}},
		"value missing":              {args: python(RunIDFlag)},
		"value is the next option":   {args: python(RunIDFlag, "--port")},
		"value empty":                {args: python(RunIDFlag, "", RunIDFlag+"=")},
		"value with space":           {args: python(RunIDFlag, "X Y")},
		"value with control":         {args: python(RunIDFlag, "X\x1b[2J")},
		"value not UTF-8":            {args: python(RunIDFlag, "X\xff")},
		"value too long":             {args: python(RunIDFlag, strings.Repeat("x", 129))},
		"two ids":                    {args: python(RunIDFlag, "X", RunIDFlag, "Y"), signs: []Sign{arg, entry}},
		"two ids, env of one":        {args: python(RunIDFlag, "X", RunIDFlag, "Y"), env: envOf("X"), signs: []Sign{arg, entry, environ}},
		"exported in a shell":        {args: []string{"bash"}, env: []string{RunIDEnv + "=X"}},
		"worker id alone":            {args: []string{"bash"}, env: []string{WorkerIDEnv + "=default-3"}},
		"worker id empty":            {args: []string{"bash"}, env: []string{RunIDEnv + "=X", WorkerIDEnv + "="}},
		"worker id with control":     {args: []string{"bash"}, env: []string{RunIDEnv + "=X", WorkerIDEnv + "=a\x1b"}},
		"another variable":           {args: []string{"bash"}, env: []string{"MY_" + RunIDEnv + "=X", WorkerIDEnv + "=w"}},
		"env names two runs":         {args: []string{"bash"}, env: append(envOf("X"), RunIDEnv+"=Y"), signs: []Sign{environ}},
		"argument, exported only":    {args: []string{"vim", RunIDFlag + "=X"}, env: []string{RunIDEnv + "=X"}, runID: "X", signs: []Sign{arg}},
		"argument against env":       {args: []string{"vim", RunIDFlag + "=X"}, env: envOf("Y"), runID: "X", signs: []Sign{arg, environ}},
		"entry point against env":    {python(RunIDFlag, "X"), envOf("Y"), "X", "", []Sign{arg, entry, environ}, true},
		"a prefix is another run":    {python(RunIDFlag, "run_12"), envOf("run_12"), "run_12", "default-3", []Sign{arg, entry, environ}, true},
		"prefix in env is a dispute": {args: []string{"x", RunIDFlag, "run_1"}, env: envOf("run_12"), runID: "run_1", signs: []Sign{arg, environ}},
	} {
		t.Run(name, func(t *testing.T) {
			got := ParseMarker(tt.args, tt.env)
			if len(got.Signs) > 0 && len(got.Evidence) == 0 {
				t.Error("signs without evidence")
			}
			got.Evidence = nil
			want := Marker{RunID: tt.runID, WorkerID: tt.worker, Signs: tt.signs, Condemns: tt.condemns}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	got := ParseMarker(
		[]string{"python3", "/a/grpc_server.py", RunIDFlag, "X"},
		[]string{RunIDEnv + "=Y", WorkerIDEnv + "=w1"},
	).Evidence
	want := []string{
		"argument --snakepit-run-id X",
		`entry point "/a/grpc_server.py"`,
		"environment SNAKEPIT_RUN_ID=Y with SNAKEPIT_WORKER_ID=w1",
		"arguments and environment name different runs",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzParseMarker holds what must be true of any command line: who is condemned
// has named the run in a whole argument or variable, and has a second sign.
func FuzzParseMarker(f *testing.F) {
	f.Add("python3\x00grpc_server.py\x00--snakepit-run-id\x00X", "SNAKEPIT_RUN_ID=X\x00SNAKEPIT_WORKER_ID=w")
	f.Add("grep\x00--\x00--snakepit-run-id\x00X", "")
	f.Add("vim\x00--snakepit-run-id=X", "SNAKEPIT_RUN_ID=Y\x00SNAKEPIT_WORKER_ID=w")
	f.Add("--snakepit-run-id", "=")
	f.Fuzz(func(t *testing.T, commandLine, environment string) {
		args, env := strings.Split(commandLine, "\x00"), strings.Split(environment, "\x00")
		m := ParseMarker(args, env)
		if m.RunID != "" && !validID(m.RunID) {
			t.Errorf("invalid run id %q", m.RunID)
		}
		if !m.Condemns {
			return
		}
		inArgs := slices.Contains(args, RunIDFlag+"="+m.RunID) ||
			slices.Contains(args, RunIDFlag) && slices.Contains(args, m.RunID)
		inEnv := slices.Contains(env, RunIDEnv+"="+m.RunID) && strings.Contains(environment, WorkerIDEnv+"=")
		script := slices.ContainsFunc(args, func(a string) bool {
			ok, _ := path.Match(EntryPoint, path.Base(a))
			return ok
		})
		if !inEnv && (!inArgs || !script) {
			t.Errorf("condemned without proof: %q %q", args, env)
		}
	})
}

func TestRunAndWorker(t *testing.T) {
	worker := []string{"python", "grpc_server.py", RunIDFlag, "r1"}
	for name, tt := range map[string]struct {
		args, env  []string
		run, named string
	}{
		"worker":          {worker, []string{"SNAKEPIT_RUN_ID=r1", "SNAKEPIT_WORKER_ID=default-3"}, "r1", "default-3"},
		"child":           {[]string{"sleep", "9"}, []string{"SNAKEPIT_RUN_ID=r1", "SNAKEPIT_WORKER_ID=default-3"}, "r1", "default-3"},
		"another's":       {worker, nil, "r1", ""},
		"only a mention":  {[]string{"nc", RunIDFlag, "r1"}, nil, "", ""},
		"nothing":         {[]string{"python", "server.py"}, []string{"HOME=/"}, "", ""},
		"nothing is read": {nil, nil, "", ""},
	} {
		if run, named := RunAndWorker(tt.args, tt.env); run != tt.run || named != tt.named {
			t.Errorf("%s: got %q, %q", name, run, named)
		}
	}
}
