package main_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/snakepit-dev/snakepit"

// arrows returns, for each directory with Go code, which other packages of this
// module it may import; "x/..." is x and all below it.
func arrows() map[string][]string {
	return map[string][]string{
		".":   {"cmd"},
		"cmd": {"internal/...", "pkg/..."},

		"internal/supervisor": {
			"internal/config", "internal/control", "internal/guard", "internal/orphans", "internal/pyenv",
			"internal/rundir", "internal/systemd", "internal/telemetry", "pkg/...",
		},
		"internal/doctor": {
			"internal/config", "internal/orphans", "internal/pyenv", "internal/rundir", "internal/supervisor", "pkg/...",
		},
		"internal/redact":            {}, // text in, text out
		"internal/holders":           {"internal/orphans", "pkg/..."},
		"internal/orphans":           {"internal/rundir", "internal/telemetry", "pkg/..."},
		"internal/guard":             {"internal/rundir", "internal/telemetry", "pkg/..."},
		"internal/control":           {"internal/control/controlpb", "pkg/..."},
		"internal/control/controlpb": {},
		"internal/telemetry":         {"internal/rundir", "pkg/pool"},
		"internal/pyenv":             {"python"},
		"internal/config":            {},
		"internal/chaos":             {},               // it must not share a mistake with what it checks
		"internal/bench":             {"pkg/procscan"}, // it measures the program as a whole, from outside
		"internal/rundir":            {"pkg/procscan"},
		"internal/systemd":           {},

		"pkg/pool":          {"pkg/procscan", "pkg/portcheck", "pkg/pool/bridgepb"},
		"pkg/pool/bridgepb": {},
		"pkg/procscan":      {},
		"pkg/portcheck":     {},
		"python":            {},
	}
}

// startsProcesses says which files may import os/exec, by file or directory.
func startsProcesses() []string {
	return []string{
		"pkg/pool/exec.go",              // workers
		"internal/pyenv",                // interpreters, to look at them and to install
		"internal/guard",                // this program itself
		"internal/supervisor/detach.go", // this program itself
		"internal/chaos",                // this program itself, and bystanders
		"internal/bench",                // this program itself, and the floor beside it
	}
}

// forbidden are names that no room but main may use, with the reason. A name
// that ends in a star stands for all that begin so.
func forbidden() map[string]string {
	ends := "only main ends the program: return an error"
	prints := "only cmd prints, through its Env: return what is to be shown"
	starts := "processes are started with os/exec, in the few files that may"
	return map[string]string{
		"os.Exit": ends, "syscall.Exit": ends, "log.Fatal*": ends, "log.Panic*": ends, "panic": ends,
		"recover":    "it hides defects: let them be seen",
		"fmt.Print*": prints, "log.Print*": prints, "print": prints, "println": prints,
		"os.StartProcess": starts, "syscall.StartProcess": starts, "syscall.ForkExec": starts, "syscall.Exec": starts,
		"golang.org/x/sys/unix.Exec": starts,
	}
}

// tools do by text what the rooms do by system calls.
func tools() []string {
	return []string{"pgrep", "pkill", "ps", "kill", "killall", "lsof", "fuser", "netstat", "ss", "sh", "bash"}
}

func TestArrows(t *testing.T) {
	rooms := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && file != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if entry.IsDir() || path.Ext(file) != ".go" {
			return nil
		}
		rooms[path.Dir(file)] = true
		for _, v := range violations(t, file, nil) {
			t.Error(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range arrows() {
		if !rooms[room] {
			t.Errorf("%s: it is in the table of arrows, but there is no Go code: remove it there", room)
		}
	}
}

// TestArrowsAreHeld shows each rule a file that breaks it, and one that does not.
func TestArrowsAreHeld(t *testing.T) {
	for _, tt := range []struct{ file, text, want string }{
		{"main.go", `import ("os"; "` + module + `/cmd"); func main() { os.Exit(cmd.Main(nil)) }`, ""},
		{"main.go", `import _ "` + module + `/pkg/pool"`, "may not import pkg/pool"},
		{"cmd/x.go", `import _ "github.com/spf13/cobra"; import _ "` + module + `/internal/guard"`, ""},
		{"cmd/x.go", `import "os"; func f() { os.Exit(1) }`, "os.Exit"},
		{"cmd/x.go", `import _ "os/exec"`, "os/exec"},
		{"cmd/x_test.go", `import _ "os/exec"`, ""},
		{"internal/x/x.go", ``, "not in the table"},
		{"internal/guard/x.go", `import _ "` + module + `/cmd"`, "may not import cmd"},
		{"internal/guard/x.go", `import _ "os/exec"; import _ "` + module + `/pkg/portcheck"`, ""},
		{"internal/guard/x_test.go", `import _ "` + module + `/internal/supervisor"`, "may not import internal/supervisor"},
		{"internal/rundir/x.go", `import _ "` + module + `/pkg/pool"`, "may not import pkg/pool"},
		{"internal/supervisor/detach.go", `import _ "os/exec"`, ""},
		{"internal/supervisor/stop.go", `import _ "os/exec"`, "os/exec"},
		{"internal/telemetry/x.go", `import "fmt"; func f() { fmt.Println() }`, "fmt.Println"},
		{"internal/telemetry/x.go", `import log "log/slog"; func f() { log.Info("") }`, ""},
		{"pkg/pool/x.go", `import _ "` + module + `/internal/rundir"`, "may not import internal/rundir"},
		{"pkg/pool/x.go", `import out "fmt"; func f() { out.Printf("") }`, "fmt.Printf"},
		{"pkg/pool/x.go", `import "log"; func f() { defer log.Fatalf("") }`, "log.Fatalf"},
		{"pkg/pool/x.go", `import "os"; var w = os.Stderr`, "os.Stderr"},
		{"pkg/pool/exec.go", `import "os/exec"; var c = exec.Command("/usr/bin/pgrep", "-f")`, "pgrep"},
		{"pkg/pool/x_test.go", `func f() { panic(1) }`, ""},
		{"pkg/portcheck/x.go", `import _ "` + module + `/pkg/procscan"`, "may not import pkg/procscan"},
		{"pkg/portcheck/x.go", `import _ "github.com/charmbracelet/lipgloss/table"`, "lipgloss"},
		{"pkg/procscan/x.go", `func f() { panic(1) }`, "panic"},
		{"pkg/procscan/x.go", `func f() { defer func() { _ = recover() }() }`, "recover"},
		{"pkg/procscan/x.go", `import "syscall"; var _, err = syscall.Wait4(-1, nil, 0, nil)`, "Wait4(-1)"},
		{"pkg/procscan/x.go", `import "syscall"; var _, err = syscall.Wait4(7, nil, 0, nil)`, ""},
	} {
		got := violations(t, tt.file, "package x\n"+tt.text)
		if ok := len(got) == 1 && strings.Contains(got[0], tt.want); tt.want != "" && !ok || tt.want == "" && len(got) > 0 {
			t.Errorf("%s: %s\ngot %q, want one about %q", tt.file, tt.text, got, tt.want)
		}
	}
}

// violations returns what is wrong with one file: its text, or the file's own
// when there is none. Imports count in tests, too; what is done only in the
// program.
func violations(t *testing.T, file string, text any) []string {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{path: file, room: path.Dir(file), files: files, names: map[string]string{}}
	for _, spec := range parsed.Imports {
		s.lookAtImport(spec)
	}
	if !s.isTest() && s.room != "." {
		ast.Inspect(parsed, s.lookAtNode)
	}
	return s.found
}

// source is one file under inspection.
type source struct {
	path, room string
	files      *token.FileSet
	names      map[string]string // of imported packages, in this file
	found      []string
}

func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s *source) add(at token.Pos, format string, args ...any) {
	s.found = append(s.found, fmt.Sprintf("%s:%d: ", s.path, s.files.Position(at).Line)+fmt.Sprintf(format, args...))
}

func (s *source) lookAtImport(spec *ast.ImportSpec) {
	imported, _ := strconv.Unquote(spec.Path.Value)
	name := path.Base(imported)
	if spec.Name != nil {
		name = spec.Name.Name
	}
	s.names[name] = imported
	switch target, ours := strings.CutPrefix(imported, module+"/"); {
	case ours && target != s.room && !slices.ContainsFunc(arrows()[s.room], func(a string) bool { return covers(a, target) }):
		s.add(spec.Pos(), "%s may not import %s: arrows go one way (docs/architecture.md); a new one goes into the table of arrows", s.room, target)
	case s.room != "cmd" && (strings.HasPrefix(imported, "github.com/spf13/") || strings.HasPrefix(imported, "github.com/charmbracelet/")):
		s.add(spec.Pos(), "only cmd may import %s", imported)
	case imported == "os/exec" && !s.isTest() && !slices.ContainsFunc(startsProcesses(), func(p string) bool { return p == s.path || p == s.room }):
		s.add(spec.Pos(), "os/exec is for %s alone", strings.Join(startsProcesses(), ", "))
	}
}

func covers(arrow, target string) bool {
	tree, whole := strings.CutSuffix(arrow, "/...")
	return arrow == target || whole && (target == tree || strings.HasPrefix(target, tree+"/"))
}

func (s *source) lookAtNode(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.File:
		if _, known := arrows()[s.room]; !known {
			s.add(n.Package, "%s is not in the table of arrows: add it there, with what it may import", s.room)
		}
	case *ast.SelectorExpr:
		s.lookAtName(n.Pos(), s.nameOf(n))
	case *ast.CallExpr:
		if builtin, ok := n.Fun.(*ast.Ident); ok {
			s.lookAtName(n.Pos(), builtin.Name)
		}
		s.lookAtCall(n)
	}
	return true
}

// nameOf is "os.Exit", whatever this file calls the package; "" for the field
// or method of a value.
func (s *source) nameOf(e ast.Expr) string {
	selected, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if base, ok := selected.X.(*ast.Ident); ok && s.names[base.Name] != "" {
		return s.names[base.Name] + "." + selected.Sel.Name
	}
	return ""
}

func (s *source) lookAtName(at token.Pos, name string) {
	for pattern, reason := range forbidden() {
		prefix, open := strings.CutSuffix(pattern, "*")
		if name == pattern || open && strings.HasPrefix(name, prefix) {
			s.add(at, "%s: %s", name, reason)
		}
	}
	if s.room != "cmd" && slices.Contains([]string{"os.Stdin", "os.Stdout", "os.Stderr"}, name) {
		s.add(at, "%s: only cmd knows the terminal", name)
	}
}

func (s *source) lookAtCall(call *ast.CallExpr) {
	name := s.nameOf(call.Fun)
	for _, argument := range call.Args {
		literal, ok := argument.(*ast.BasicLit)
		if !ok || !strings.HasPrefix(name, "os/exec.") || literal.Kind != token.STRING {
			continue
		}
		if text, _ := strconv.Unquote(literal.Value); slices.Contains(tools(), path.Base(text)) {
			s.add(literal.Pos(), "%s runs %s: pkg/procscan and pkg/portcheck ask the system themselves", name, text)
		}
	}
	if strings.HasSuffix(name, ".Wait4") && len(call.Args) > 0 && isMinusOne(call.Args[0]) {
		s.add(call.Pos(), "Wait4(-1) takes the exits of others: one place waits, for one process at a time")
	}
}

func isMinusOne(e ast.Expr) bool {
	minus, ok := e.(*ast.UnaryExpr)
	if !ok || minus.Op != token.SUB {
		return false
	}
	one, ok := minus.X.(*ast.BasicLit)
	return ok && one.Value == "1"
}
