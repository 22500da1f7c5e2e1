package cmd

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/chaos"
)

// chaosDocument is what chaos -o json prints (schema_version 1).
type chaosDocument struct {
	SchemaVersion int             `json:"schema_version"`
	Seed          uint64          `json:"seed"`
	Passed        bool            `json:"passed"`
	Cut           bool            `json:"cut,omitempty"` // by Ctrl-C or TERM
	Scenarios     []chaosScenario `json:"scenarios"`
}

type chaosScenario struct {
	Name       string       `json:"name"`
	Passed     bool         `json:"passed"`
	Skipped    string       `json:"skipped,omitempty"` // why it has not run
	Cut        bool         `json:"cut,omitempty"`     // one more iteration was cut short
	Iterations int          `json:"iterations"`
	Failures   int          `json:"failures"` // iterations in which a check did not hold
	DurationMS float64      `json:"duration_ms"`
	Checks     []chaosCheck `json:"checks"`
	// Failed are the first few iterations that failed, with what happened in each.
	Failed []chaosFailure `json:"failed,omitempty"`
}

type chaosFailure struct {
	Iteration int           `json:"iteration"`
	Seed      uint64        `json:"seed"`
	Again     string        `json:"again"` // the command that meets it again
	Checks    []chaosCheck  `json:"checks"`
	Timeline  []chaosMoment `json:"timeline"`
	Logs      []chaosLog    `json:"logs"`
}

type chaosMoment struct {
	Time   time.Time `json:"time"`
	AtMS   float64   `json:"at_ms"` // since the first one
	Source string    `json:"source"`
	Text   string    `json:"text"`
}

type chaosLog struct {
	Name  string   `json:"name"` // run/worker
	Lines []string `json:"lines"`
}

type chaosCheck struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail"`
}

func chaosDocumentOf(report chaos.Report) chaosDocument {
	d := chaosDocument{SchemaVersion: 1, Seed: report.Seed, Passed: report.Passed(), Cut: report.Cut, Scenarios: []chaosScenario{}}
	for _, r := range report.Results {
		s := chaosScenario{
			Name: r.Scenario.Name, Passed: r.Passed(), Skipped: notRun(r), Cut: r.Cut,
			Iterations: r.Iterations, Failures: r.Failures, DurationMS: millis(r.Took()), Checks: chaosChecksOf(r.Checks),
		}
		for _, o := range r.Failed {
			s.Failed = append(s.Failed, chaosFailureOf(o, report.Again))
		}
		d.Scenarios = append(d.Scenarios, s)
	}
	return d
}

func chaosChecksOf(checks []chaos.Check) []chaosCheck {
	list := []chaosCheck{}
	for _, c := range checks {
		list = append(list, chaosCheck{c.Name, c.Passed, c.Detail})
	}
	return list
}

func chaosFailureOf(o chaos.Outcome, flags []string) chaosFailure {
	f := chaosFailure{
		Iteration: o.Iteration, Seed: o.Seed, Again: againLine(o, flags),
		Checks: chaosChecksOf(o.Checks), Timeline: []chaosMoment{}, Logs: []chaosLog{},
	}
	for _, m := range o.Timeline {
		f.Timeline = append(f.Timeline, chaosMoment{m.At.UTC(), millis(m.At.Sub(o.Timeline[0].At)), m.Source, m.Text})
	}
	for _, log := range o.Logs {
		f.Logs = append(f.Logs, chaosLog(log))
	}
	return f
}

// notRun is why a scenario has not run.
func notRun(r chaos.Result) string {
	switch {
	case r.Iterations > 0:
		return ""
	case r.Cut:
		return "cut short: nothing is proven"
	case r.Skipped != "":
		return r.Skipped
	}
	return "something before it failed, or was cut short; --keep-going runs all"
}

type chaosListing struct {
	SchemaVersion int                    `json:"schema_version"`
	Scenarios     []chaosListingScenario `json:"scenarios"`
}

type chaosListingScenario struct {
	Name    string `json:"name"`
	Suite   string `json:"suite"`
	Assumes string `json:"assumes"`
	Fault   string `json:"fault"`
	Brings  string `json:"brings,omitempty"`
}

func chaosListOf(scenarios []chaos.Scenario) chaosListing {
	d := chaosListing{SchemaVersion: 1}
	for _, s := range scenarios {
		d.Scenarios = append(d.Scenarios, chaosListingScenario{s.Name, s.Suite, s.Assumes, s.Fault, s.Brings})
	}
	return d
}

// JUnit's XML has no standard: a schema that Jenkins and pytest use knows no skipped
// of all suites together. These are the elements and attributes that GitHub's
// and GitLab's readers share: https://docs.gitlab.com/ci/testing/unit_test_reports/.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"` // seconds
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Errors     int             `xml:"errors,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Skipped *junitReason  `xml:"skipped"`
	Error   *junitFailure `xml:"error"`
	Failure *junitFailure `xml:"failure"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// printJUnit writes one test case for each scenario, suite by suite.
func printJUnit(w io.Writer, report chaos.Report) error {
	all := junitSuites{Name: "snakepit chaos", Time: seconds(report.Took)}
	for _, name := range chaos.Suites() {
		suite := junitSuiteOf(name, report)
		if suite.Tests == 0 {
			continue
		}
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Errors += suite.Errors
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitSuiteOf(name string, report chaos.Report) junitSuite {
	suite := junitSuite{
		Name: "chaos." + name, Timestamp: report.Began.UTC().Format("2006-01-02T15:04:05"),
		Properties: []junitProperty{{"seed", strconv.FormatUint(report.Seed, 10)}},
	}
	var took time.Duration
	for _, r := range report.Results {
		if r.Scenario.Suite != name {
			continue
		}
		c := junitCaseOf(r, report)
		took += r.Took()
		suite.Tests++
		if c.Failure != nil {
			suite.Failures++
		}
		if c.Error != nil {
			suite.Errors++
		}
		if c.Skipped != nil {
			suite.Skipped++
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = seconds(took)
	return suite
}

// junitCaseOf says of what was cut short that it is an error: readers show that in
// red, as they do not what was skipped.
func junitCaseOf(r chaos.Result, report chaos.Report) junitCase {
	c := junitCase{Class: "chaos." + r.Scenario.Suite, Name: r.Scenario.Name, Time: seconds(r.Took())}
	plain := newStyles(io.Discard)
	reason := notRun(r)
	if report.Cut && (r.Cut || verdictOf(r) == "not run") && r.Failures == 0 {
		c.Error = &junitFailure{
			Message: "cut short: nothing is proven", Type: "cut",
			Text: fmt.Sprintf("The run was interrupted after %s; %s that ended held.\nagain: %s", tenths(report.Took), count(r.Iterations, "iteration", "iterations"), againLine(chaos.Outcome{Scenario: r.Scenario.Name, Seed: report.Seed}, report.Again)),
		}
		return c
	}
	if reason != "" {
		c.Skipped = &junitReason{reason}
		return c
	}
	c.Output = fmt.Sprintf("assumes: %s\nfault: %s\n%s", r.Scenario.Assumes, r.Scenario.Fault, checksText(plain, r.Checks, "", 0))
	if r.Failures == 0 {
		return c
	}
	first := r.Failed[0].Failed()[0]
	var text []string
	for _, failed := range r.Failed {
		text = append(text, failureText(plain, failed, report.Again))
	}
	c.Failure = &junitFailure{
		Message: fmt.Sprintf("%d of %d iterations failed: %s: %s", r.Failures, r.Iterations, first.Name, brief(first.Detail)),
		Type:    "check", Text: strings.Join(text, "\n\n"),
	}
	return c
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
