package cmd

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// release is what we use of .goreleaser.yaml.
type release struct {
	Builds []struct {
		Main, Binary string
		Env          []string
		Goos, Goarch []string
		Flags        []string
		Ldflags      []string
		ModTimestamp string `yaml:"mod_timestamp"`
	}
	Archives []struct{ Files []packed }
	NFPMs    []struct {
		Formats  []string
		Contents []packed
		Scripts  map[string]string
	} `yaml:"nfpms"`
	Casks []struct {
		Binaries, Manpages []string
		Completions        map[string]string
	} `yaml:"homebrew_casks"`
}

// packed is a file, or a pattern of files, and where it goes.
type packed struct{ Src, Dst, Type string }

func readRelease(t *testing.T) (r release) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// goreleaser itself reads the file where CI has it; this finds what it does not ask.
func TestRelease(t *testing.T) {
	r := readRelease(t)
	if len(r.Builds) != 1 || len(r.Archives) != 1 || len(r.NFPMs) != 1 || len(r.Casks) != 1 {
		t.Fatalf("it was not read right: %+v", r)
	}
	b := r.Builds[0]
	targets := [][]string{b.Goos, b.Goarch, b.Env, r.NFPMs[0].Formats}
	if diff := cmp.Diff([][]string{{"linux", "darwin"}, {"amd64", "arm64"}, {"CGO_ENABLED=0"}, {"deb", "rpm"}}, targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if !slices.Contains(b.Flags, "-trimpath") || !strings.Contains(b.ModTimestamp, "CommitTimestamp") {
		t.Errorf("it differs from build to build: flags %q, time %q", b.Flags, b.ModTimestamp)
	}
	variables := packageVariables(t)
	set := regexp.MustCompile(`-X github\.com/snakepit-dev/snakepit/cmd\.(\w+)=`).FindAllStringSubmatch(strings.Join(b.Ldflags, " "), -1)
	if len(set) != 2 || strings.Count(strings.Join(b.Ldflags, " "), "-X ") != 2 {
		t.Errorf("version and commit are not set: %q", b.Ldflags)
	}
	for _, m := range set {
		if !slices.Contains(variables, m[1]) {
			t.Errorf("it sets cmd.%s; there are %q", m[1], variables)
		}
	}
}

// packageVariables are those that a linker can set.
func packageVariables(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "version.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, s := range group.Specs {
			for _, name := range s.(*ast.ValueSpec).Names {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// Every file that a release packs is in the tree, or is made by .ci/completions.
func TestReleasePacksWhatThereIs(t *testing.T) {
	r := readRelease(t)
	made, err := os.ReadFile(filepath.Join("..", ".ci", "completions"))
	if err != nil {
		t.Fatal(err)
	}
	sources := slices.Concat(r.Archives[0].Files, r.NFPMs[0].Contents)
	for _, script := range r.NFPMs[0].Scripts {
		sources = append(sources, packed{Src: script})
	}
	for shell, file := range r.Casks[0].Completions {
		sources = append(sources, packed{Src: file, Dst: shell})
	}
	for _, f := range sources {
		switch name, ours := strings.CutPrefix(f.Src, "completions/"); {
		case f.Type == "dir":
		case ours && name != "*" && !strings.Contains(string(made), `"$1/`+name+`"`):
			t.Errorf(".ci/completions does not make %s", f.Src)
		case ours:
		default:
			if found, err := filepath.Glob(filepath.Join("..", f.Src)); err != nil || len(found) == 0 {
				t.Errorf("there is no %s: %v", f.Src, err)
			}
		}
	}
	for _, want := range []string{"LICENSE", "README.md", "docs/man/*.1"} {
		for where, files := range map[string][]packed{"archives": r.Archives[0].Files, "packages": r.NFPMs[0].Contents} {
			if !slices.ContainsFunc(files, func(f packed) bool { return f.Src == want }) {
				t.Errorf("%s do not have %s", where, want)
			}
		}
	}
}

// releaseVariable asks for what takes a minute: a build as for a release, twice.
const releaseVariable = "SNAKEPIT_TEST_RELEASE"

// Whoever builds a release from the same commit, wherever, gets the same bytes.
func TestReleaseIsReproducible(t *testing.T) {
	if os.Getenv(releaseVariable) == "" {
		t.Skip("it builds twice; ask for it: " + releaseVariable + "=1")
	}
	tracked, err := exec.Command("git", "-C", "..", "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	var sums []string
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")} {
		for name := range strings.SplitSeq(strings.TrimRight(string(tracked), "\x00"), "\x00") {
			copyFile(t, filepath.Join("..", name), filepath.Join(dir, name))
		}
		binary := buildRelease(t, dir)
		text, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(text)))
		var said versionDocument
		out, err := exec.Command(binary, "version", "-o", "json").Output()
		if err != nil || json.Unmarshal(out, &said) != nil || said.Version != "1.2.3" || said.Commit != "0123abc" || said.Go == "" {
			t.Errorf("version says %v %s", err, out)
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds of the same: %q", sums)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// buildRelease builds with the flags of a release, filled in as goreleaser does.
func buildRelease(t *testing.T, dir string) string {
	t.Helper()
	b := readRelease(t).Builds[0]
	fill := strings.NewReplacer("{{ .Version }}", "1.2.3", "{{ .FullCommit }}", "0123abc")
	args := slices.Concat([]string{"build", "-o", "release"}, b.Flags, []string{"-ldflags", fill.Replace(strings.Join(b.Ldflags, " ")), b.Main})
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), append(b.Env, "PWD="+dir, "GOFLAGS=")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
	return filepath.Join(dir, "release")
}
