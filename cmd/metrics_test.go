package cmd

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// described are the metrics of a text: name to type and labels.
type described map[string]string

// servedByRun is what a real run serves to Prometheus.
func servedByRun(t *testing.T) (text string) {
	t.Helper()
	managedPython(t)
	s := newSandbox(t)
	state := filepath.Join(filepath.Dir(s.dir), "state")
	id := strings.ToLower("metrics-" + filepath.Base(filepath.Dir(s.dir)))
	s.beside(t, id)
	if out, err := s.command("start", "-d", "--workers", "1", "--run-id", id, "--metrics", "127.0.0.1:0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := scrapeRun(runsIn(state), id)
	if out, stopped := s.command("stop", "--run-id", id).CombinedOutput(); stopped != nil {
		t.Errorf("%v: %s", stopped, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scrapeRun(runsIn(state), id); err == nil {
		t.Error("they are served after the end of the run")
	}
	return text
}

// TestMetricsAreDocumented holds docs/metrics.md to what a real run serves.
func TestMetricsAreDocumented(t *testing.T) {
	text := servedByRun(t)
	document, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(metricsOfDocument(string(document)), metricsOfScrape(text)); diff != "" {
		t.Errorf("docs/metrics.md is not what is served (-document +served):\n%s", diff)
	}
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}

func metricsOfDocument(text string) described {
	all := described{}
	row := regexp.MustCompile("(?m)^\\| `(snakepit_\\w+)` \\| (\\w+) \\| ([^|]*) \\| [^|]+ \\|$")
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		labels := strings.Split(strings.ReplaceAll(m[3], "`", ""), ", ")
		slices.Sort(labels)
		all[m[1]] = m[2] + " " + strings.Join(labels, ",")
	}
	return all
}

func metricsOfScrape(text string) described {
	all := described{}
	kind := regexp.MustCompile(`(?m)^# TYPE (snakepit_\w+) (\w+)$`)
	label := regexp.MustCompile(`(\w+)="[^"]*"`)
	for _, m := range kind.FindAllStringSubmatch(text, -1) {
		var labels []string
		sample := regexp.MustCompile(`(?m)^` + m[1] + `(?:_count)?\{([^}]*)\}`).FindStringSubmatch(text)
		if sample == nil {
			all[m[1]] = m[2] + " without a value"
			continue
		}
		for _, l := range label.FindAllStringSubmatch(sample[1], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		all[m[1]] = m[2] + " " + strings.Join(labels, ",")
	}
	return all
}

// scrapeRun reads the metrics of a run, at the address that its record has.
func scrapeRun(runs, id string) (string, error) {
	found, err := rundir.Open(runs, id)
	if err != nil {
		return "", err
	}
	if found.Record == nil || found.Record.Metrics == "" {
		return "", fmt.Errorf("run %s has no metrics", id)
	}
	answer, err := http.Get("http://" + found.Record.Metrics + "/metrics")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// metric RUN SERIES VALUE: what a run serves has this line; VALUE is a regular
// expression.
func checkMetric(ts *testscript.TestScript, args []string) error {
	text, err := scrapeRun(runsIn(ts.Getenv("XDG_STATE_HOME")), args[0])
	if err != nil {
		return err
	}
	line := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(args[1]) + " (" + args[2] + ")$")
	if line.MatchString(text) {
		return nil
	}
	name, _, _ := strings.Cut(args[1], "{")
	var near []string
	for got := range strings.Lines(text) {
		if strings.HasPrefix(got, name) {
			near = append(near, got)
		}
	}
	return fmt.Errorf("no %s %s; there is\n%s", args[1], args[2], strings.Join(near, ""))
}
