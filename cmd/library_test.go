package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The example of pkg/pool is a whole program of somebody else: it runs as one,
// with the workers that a user has, and prints what it says.
func TestLibraryExample(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	const source = "../pkg/pool/example_test.go"
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	program := strings.NewReplacer("package pool_test", "package main", "func Example()", "func main()").Replace(string(text))
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command("go", "run", file)
	run.Dir = root
	run.Env = append(os.Environ(), "WORKER_PYTHON="+managedPython(t), "WORKER_ENTRY="+filepath.Join(root, "python", "grpc_server.py"))
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		t.Fatalf("the example: %v", err)
	}
	if diff := cmp.Diff(saysItPrints(t, string(text)), string(out)); diff != "" {
		t.Errorf("%s says that it prints (-), and prints (+):\n%s", source, diff)
	}
}

// saysItPrints is the indented block of the example's comment.
func saysItPrints(t *testing.T, text string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(text) {
		if said, found := strings.CutPrefix(line, "//\t"); found {
			lines = append(lines, said)
		}
	}
	if len(lines) == 0 {
		t.Fatal("the example does not say what it prints")
	}
	return strings.Join(lines, "")
}
