package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// What docs/dashboards has for Prometheus and Grafana.
const (
	dashboardFile  = "snakepit.grafana.json"
	rulesFile      = "snakepit.rules.yaml"
	rulesTestsFile = "snakepit.rules.test.yaml"
)

func inDashboards(name string) string { return filepath.Join("..", "docs", "dashboards", name) }

// grafana is what we use of a dashboard.
type grafana struct {
	UID, Title    string
	SchemaVersion int
	Inputs        []any `json:"__inputs"`
	Panels        []struct {
		ID                       int
		Type, Title, Description string
		GridPos                  struct{ X, Y, W, H int }
		Datasource               *datasource
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct {
			RefID, Expr string
			Datasource  *datasource
		}
	}
	Templating struct {
		List []struct {
			Name, Type, Definition string
			Query                  any
			Datasource             *datasource
		}
	}
}

type datasource struct{ Type, UID string }

func readDashboard(t *testing.T) (d grafana) {
	t.Helper()
	text, err := os.ReadFile(inDashboards(dashboardFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// ruleGroups is what we use of a file of alert rules.
type ruleGroups struct {
	Groups []struct {
		Rules []struct{ Alert, Expr string }
	}
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(inDashboards(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// queries are those of the dashboard and the rules, by where they stand.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			// What Grafana fills in.
			all[fmt.Sprintf("panel %q, %s", p.Title, target.RefID)] = strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
		}
	}
	var rules ruleGroups
	readYAML(t, rulesFile, &rules)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			all["alert "+r.Alert] = r.Expr
		}
	}
	return all
}

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || len(d.Panels) < 10 {
		t.Errorf("uid %q, title %q, %d panels", d.UID, d.Title, len(d.Panels))
	}
	seen, cells := map[string]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if id := fmt.Sprint("id ", p.ID); p.ID <= 0 || seen[id] {
			t.Errorf("panel %q: its id %d is not its own", p.Title, p.ID)
		} else {
			seen[id] = true
		}
		if p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d lacks a title, a description or a query", p.ID)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies over %q, or out of the 24 columns", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}

// Grafana takes it as it is, asks for nothing, and lets whoever looks choose the Prometheus.
func TestDashboardIsImported(t *testing.T) {
	d := readDashboard(t)
	if d.SchemaVersion < 36 || len(d.Inputs) > 0 { // since then a data source has a type
		t.Errorf("schema %d, and it asks for %v", d.SchemaVersion, d.Inputs)
	}
	chosen := datasource{"prometheus", "${datasource}"}
	var of []*datasource
	choices := 0
	for _, v := range d.Templating.List {
		if v.Type == "datasource" {
			if v.Name != "datasource" || v.Query != "prometheus" {
				t.Errorf("the data source is %q, of %v", v.Name, v.Query)
			}
			choices++
			continue
		}
		of = append(of, v.Datasource)
	}
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		if p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("panel %q has no unit", p.Title)
		}
		of = append(of, p.Datasource)
		for _, target := range p.Targets {
			of = append(of, target.Datasource)
		}
	}
	if choices != 1 || slices.ContainsFunc(of, func(one *datasource) bool { return one == nil || *one != chosen }) {
		t.Errorf("%d choices of a data source; used are not all that one", choices)
	}
}

var (
	grouping = regexp.MustCompile(`\b(?:by|on|group_left|group_right|without)\s*\(([\w, ]*)\)`)
	made     = regexp.MustCompile(`label_replace\(\w+, "(\w+)"`)
)

// What is grouped by a label that no metric has becomes one group.
func TestDashboardsGroupByLabels(t *testing.T) {
	served := metricsOfScrape(servedByRun(t))
	found := 0
	for where, query := range queries(t) {
		known := []string{"instance", "job", "le"} // given by Prometheus, and to buckets
		for _, m := range made.FindAllStringSubmatch(query, -1) {
			known = append(known, m[1])
		}
		for _, m := range selector.FindAllStringSubmatch(query, -1) {
			name := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m[1], "")
			_, labels, _ := strings.Cut(served[name], " ")
			known = append(known, strings.Split(labels, ",")...)
		}
		for _, m := range grouping.FindAllStringSubmatch(query, -1) {
			for label := range strings.SplitSeq(m[1], ",") {
				found++
				if label = strings.TrimSpace(label); !slices.Contains(known, label) {
					t.Errorf("%s groups by %s, and its metrics have %q", where, label, known)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("%d labels: the queries were not read right", found)
	}
}

// selector is a metric's name and what it is chosen by.
var selector = regexp.MustCompile(`\b((?:snakepit|go|process)_\w+)(?:\{([^}]*)\})?`)

// A metric, a label or a value of a label that no run serves makes an alert that
// never fires.
func TestDashboardsNameWhatIsServed(t *testing.T) {
	text := servedByRun(t)
	asked := queries(t)
	for _, v := range readDashboard(t).Templating.List {
		asked["variable "+v.Name] = v.Definition
	}
	found := 0
	for where, query := range asked {
		for _, m := range selector.FindAllStringSubmatch(query, -1) {
			found++
			if err := isServed(text, m[1], m[2]); err != nil {
				t.Errorf("%s: %v", where, err)
			}
		}
	}
	if found < len(asked) {
		t.Errorf("%d metrics in %d queries: they were not read right", found, len(asked))
	}
}

// isServed looks for a series of that name with these labels. One that is chosen by
// a pattern has to have the label, whatever its value.
func isServed(text, name, matchers string) error {
	series := regexp.MustCompile(`(?m)^`+name+`(?:\{(.*)\})? \S+$`).FindAllStringSubmatch(text, -1)
	if series == nil {
		return fmt.Errorf("no run serves %s", name)
	}
	for _, m := range regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`).FindAllStringSubmatch(matchers, -1) {
		want := m[1] + `="`
		if m[2] == "=" {
			want += m[3] + `"`
		}
		if !slices.ContainsFunc(series, func(s []string) bool { return strings.Contains(","+s[1], ","+want) }) {
			return fmt.Errorf("no %s has %s", name, m[0])
		}
	}
	return nil
}

// demanded says which programs must be there: where CI runs, a test of a program that
// is missing fails, and is not skipped.
const demanded = "SNAKEPIT_TEST_DEMANDS"

// program is the path of one that not everybody has.
func program(t *testing.T, name, howToGet string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case slices.Contains(strings.Split(os.Getenv(demanded), ","), name):
		t.Fatalf("%s is demanded (%s), and is not on PATH; get it: %s", name, demanded, howToGet)
	}
	t.Skipf("no %s on PATH; get it: %s", name, howToGet)
	return ""
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	path := program(t, "promtool", `PATH="$(.ci/promtool):$PATH", or the package prometheus`)
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Prometheus' own parser reads every query of the dashboard and the rules.
func TestQueriesParse(t *testing.T) {
	var rules struct {
		Groups []map[string]any `yaml:"groups"`
	}
	var records []map[string]string
	for where, query := range queries(t) {
		records = append(records, map[string]string{"record": fmt.Sprintf("q%d", len(records)), "expr": query + " # " + where})
	}
	rules.Groups = []map[string]any{{"name": "queries", "rules": records}}
	text, err := yaml.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

func TestAlertRules(t *testing.T) {
	promtool(t, "check", "rules", inDashboards(rulesFile))
	promtool(t, "test", "rules", inDashboards(rulesTestsFile))
}

// Each alert is tried twice: it fires, and it does not.
func TestAlertsAreTried(t *testing.T) {
	var rules ruleGroups
	readYAML(t, rulesFile, &rules)
	var tried struct {
		Tests []struct {
			Alerts []struct {
				Name string `yaml:"alertname"`
				Want []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, rulesTestsFile, &tried)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tried.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Want) > 0
			silent[a.Name] = silent[a.Name] || len(a.Want) == 0
		}
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if !fires[r.Alert] || !silent[r.Alert] {
				t.Errorf("%s: it fires in a test: %t; it is silent in one: %t", r.Alert, fires[r.Alert], silent[r.Alert])
			}
		}
	}
}
