package cmd

import (
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/vt"
)

var pictures = flag.Bool("pictures", false, "draw docs/pictures anew, of what the commands print")

const (
	picturesPath    = "../docs/pictures"
	topPictureWidth = 96
)

// scene is what a terminal shows, one command after the other.
type scene struct {
	t     *testing.T
	s     *sandbox
	width int
	lines [][]cell
}

// run shows a command, and what it prints until it ends.
func (c *scene) run(line string) {
	c.t.Helper()
	if len(c.lines) > 0 {
		c.lines = append(c.lines, nil)
	}
	c.lines = append(c.lines, cellsOf("$ "+line))
	p := c.s.onTerminal(c.t, c.width, 120, strings.Fields(line)[1:]...)
	if err := <-p.ended; err != nil {
		c.t.Errorf("%s: %v\n%s", line, err, p.text())
	}
	p.settle()
	c.add(p.screen)
	c.lines = c.lines[:len(c.lines)-1] // what settle wrote
	c.trim()
}

// trim takes the empty lines from the end.
func (c *scene) trim() {
	for len(c.lines) > 0 && len(c.lines[len(c.lines)-1]) == 0 {
		c.lines = c.lines[:len(c.lines)-1]
	}
}

// add takes what is on a screen, but for the empty lines at its end.
func (c *scene) add(screen *vt.Emulator) {
	for y := range screen.Height() {
		c.lines = append(c.lines, rowOf(screen, y))
	}
	c.trim()
}

// TestDrawPictures runs real commands and draws what a terminal shows of them. It is
// what docs/pictures/make calls.
func TestDrawPictures(t *testing.T) {
	if !*pictures {
		t.Skip("docs/pictures/make draws them")
	}
	newScene := func(width int) *scene { return &scene{t: t, s: newCrashSandbox(t), width: width} }

	c := newScene(88)
	c.run("snakepit start --workers 4 --detach --run-id demo")
	_ = c.s.command("call", "crash", "--worker", "default-2").Run() // it fails, as it is to
	c.s.mustRun(t, "", "call", "ping", "--worker", "default-2")
	c.run("snakepit list")
	c.run("snakepit restart --all --rolling 2")
	c.run("snakepit stop")
	c.save("run")

	c = newScene(100)
	demo := startCrashRun(t, c.s, "demo", "none", 2)
	demo.mustDie(t, demo.supervisor)
	c.run("snakepit orphans")
	c.run("snakepit kill-orphans --dry-run")
	c.s.mustRun(t, "", "kill-orphans", "--yes")
	c.s.mustBeClean(t)
	c.save("orphans")

	c = newScene(100)
	c.run("snakepit chaos shutdown --seed 7")
	c.s.mustBeClean(t)
	c.save("chaos")

	c = newScene(topPictureWidth)
	c.drawTop()
	c.save("top")
}

// drawTop shows top while calls come in.
func (c *scene) drawTop() {
	c.s.mustRun(c.t, "", "start", "-d", "--workers", "4", "--run-id", "demo")
	c.s.mustRun(c.t, "", "start", "-d", "--workers", "2", "--run-id", "batch")
	_ = c.s.command("call", "crash", "--run-id", "demo", "--worker", "default-3").Run() // it fails, as it is to
	top := c.s.onTerminal(c.t, c.width, 24, "top", "--interval", "400ms")
	top.await("6/6 ready")
	top.press("jjlc")
	for i := range 12 { // a wave, so that the small graphs have something to show
		for worker := range 4 {
			for range (i*(worker+2) + worker) % 8 {
				c.s.mustRun(c.t, "", "call", "add", `{"a": 1, "b": 2}`, "--run-id", "demo", "--worker", fmt.Sprintf("default-%d", worker))
			}
		}
		c.s.mustRun(c.t, "", "call", "log", fmt.Sprintf(`{"message": "batch %d of 12 is done"}`, i+1), "--run-id", "demo", "--worker", "default-0")
	}
	top.await("TREND", "batch 12 of 12")
	c.lines = append(c.lines, cellsOf("$ snakepit top"))
	top.mu.Lock()
	c.add(top.screen)
	top.mu.Unlock()
	top.press("q")
	top.leaves()
	c.s.mustRun(c.t, "", "stop", "--run-id", "demo")
	c.s.mustRun(c.t, "", "stop", "--run-id", "batch")
	c.s.mustBeClean(c.t)
}

func (c *scene) save(name string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(picturesPath, name+".svg"), []byte(svgOf(c.lines, c.width)), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// TestPictures holds what the README shows to what the commands print today: the
// pictures are there, and have the heads of today's tables.
func TestPictures(t *testing.T) {
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`docs/pictures/(\w+)\.svg`).FindAllStringSubmatch(string(text), -1)
	if len(named) == 0 {
		t.Error("the README shows no picture")
	}
	for _, name := range named {
		if _, err := os.Stat(filepath.Join(picturesPath, name[1]+".svg")); err != nil {
			t.Error(err)
		}
	}
	v := plainView()
	run := sampleRuns()[0]
	for name, columns := range map[string][][]column{
		"run":     {v.columns(run), restartColumns(v.styles, sampleRestarts())},
		"orphans": {v.orphanColumns(nil)},
		"top":     {topHeads(t)},
	} {
		shown := wordsOf(t, name)
		for _, c := range slices.Concat(columns...) {
			if c.head != "MESSAGE" && !strings.Contains(shown, strings.TrimSpace(c.head)) {
				t.Errorf("%s.svg does not show %q: docs/pictures/make", name, c.head)
			}
		}
	}
	for name, texts := range map[string][]string{
		"run":     {"$ snakepit list", "● ready", "No orphaned processes: supervision cleaned up"},
		"orphans": {"✗ orphan", "would kill 2 processes", "the lock of run demo is free"},
		"chaos":   {"normal_shutdown", "kill_during_shutdown", "port_not_releasing", "supervisor_crash", "every check of 4 iterations"},
		"top":     {"snakepit top", "? help"},
	} {
		shown := wordsOf(t, name)
		for _, want := range texts {
			if !strings.Contains(shown, want) {
				t.Errorf("%s.svg does not show %q: docs/pictures/make", name, want)
			}
		}
	}
}

// topHeads are the heads that top has room for in a picture.
func topHeads(t *testing.T) (heads []column) {
	t.Helper()
	for line := range strings.Lines(looked(t).at(topPictureWidth, 24)) {
		if strings.Contains(line, "WORKER") {
			for _, head := range strings.Fields(line) {
				heads = append(heads, column{head: strings.TrimPrefix(head, "▾")})
			}
		}
	}
	if len(heads) < 5 {
		t.Errorf("the heads of top are %v", heads)
	}
	return heads
}

// wordsOf are the words of a picture, in their order.
func wordsOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(picturesPath, name+".svg"))
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if data, ok := token.(xml.CharData); ok {
			words = append(words, strings.Fields(string(data))...)
		}
	}
	return strings.Join(words, " ")
}
