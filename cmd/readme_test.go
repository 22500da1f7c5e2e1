package cmd

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const readmePath = "../README.md"

// block is a fenced block of the README.
type block struct {
	language string
	file     string // from the comment before it
	lines    []string
	first    int // index of its first line
}

func readBlocks(t *testing.T) (lines []string, blocks []block) {
	t.Helper()
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	lines = strings.Split(string(text), "\n")
	fileComment := regexp.MustCompile(`^<!-- file: (\S+) -->$`)
	var open *block
	for i, line := range lines {
		switch {
		case open == nil && strings.HasPrefix(line, "```"):
			open = &block{language: strings.TrimPrefix(line, "```"), first: i + 1}
			if m := fileComment.FindStringSubmatch(lines[i-1]); m != nil {
				open.file = m[1]
			}
		case open != nil && line == "```":
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	return lines, blocks
}

// The README opens with the two commands, word for word.
func TestReadmeOpensWithTheTwoCommands(t *testing.T) {
	_, blocks := readBlocks(t)
	want := []string{"go run . start --workers 8", "go test ./..."}
	if diff := cmp.Diff(want, blocks[0].lines); diff != "" {
		t.Errorf("first block (-want +got):\n%s", diff)
	}
}

// Every command of the tour is run, in order, and prints what the README says.
// With -update the README gets what was printed.
func TestReadmeTour(t *testing.T) {
	lines, blocks := readBlocks(t)
	managedPython(t)                // made here, so that the tour does not show how
	s := newSandbox(t).startsBy("") // it has two pools, and a variable would be about one
	s.beside(t, "demo")
	s.write(t, "README.md", strings.Join(lines, "\n"))
	var edited []string
	next := 0
	for _, b := range blocks {
		if b.file != "" {
			s.write(t, b.file, strings.Join(b.lines, "\n")+"\n")
		}
		if b.language != "console" {
			continue
		}
		edited = append(edited, lines[next:b.first]...)
		next = b.first + len(b.lines)
		for _, step := range stepsOf(b.lines) {
			printed := s.shell(t, step.command)
			edited = append(edited, "$ "+step.command)
			edited = append(edited, printed...)
			if *update {
				continue
			}
			if diff := cmp.Diff(comparable(step.output), comparable(printed)); diff != "" {
				t.Errorf("$ %s\n(-README +printed, numbers as N):\n%s", step.command, diff)
			}
		}
	}
	if *update {
		edited = append(edited, lines[next:]...)
		if err := os.WriteFile(readmePath, []byte(strings.Join(edited, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type step struct {
	command string
	output  []string
}

func stepsOf(lines []string) []step {
	var steps []step
	for _, line := range lines {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, step{command: command})
			continue
		}
		last := &steps[len(steps)-1]
		last.output = append(last.output, line)
	}
	return steps
}

var (
	anyNumber = regexp.MustCompile(`\d+(\.\d+)?`)
	anySpace  = regexp.MustCompile(`\s+`)
	anyTime   = regexp.MustCompile(`\bN ?(ms|µs|s)\b`)
)

// comparable forgets what differs from run to run: numbers, the columns that
// follow from their width, and the order in which workers come and go.
func comparable(lines []string) []string {
	var out []string
	for _, line := range lines {
		line = anyNumber.ReplaceAllString(line, "N")
		line = anyTime.ReplaceAllString(line, "N")
		out = append(out, strings.TrimSpace(anySpace.ReplaceAllString(line, " ")))
	}
	slices.Sort(out)
	return out
}

// write puts a file into the sandbox's working directory.
func (s *sandbox) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shell runs a line of the README and returns what a reader sees: both streams,
// in order.
func (s *sandbox) shell(t *testing.T, line string) []string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatalf("%s: %v", line, err)
	}
	var lines []string
	for _, line := range strings.Split(strings.TrimRight(string(out), "\n"), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// The first of the two commands, as it stands in the README, from the source.
func TestReadmeFirstCommand(t *testing.T) {
	s := newSandbox(t)
	_, blocks := readBlocks(t)
	cmd := exec.Command("sh", "-c", "exec "+blocks[0].lines[0])
	cmd.Dir, cmd.Env = "..", s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a terminal does, so that Ctrl-C reaches all of it
	printed, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []string
	for scanner := bufio.NewScanner(printed); scanner.Scan(); {
		all = append(all, scanner.Text())
		if strings.Contains(scanner.Text(), ": 8/8 ready in") {
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // go run itself exits 1 after Ctrl-C, whatever the program did
	if last := all[len(all)-1]; !strings.Contains(last, "No orphaned processes: supervision cleaned up") {
		t.Errorf("its last line is %q; all of it:\n%s", last, strings.Join(all, "\n"))
	}
}
