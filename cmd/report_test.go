package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/snakepit-dev/snakepit/internal/redact"
)

// longestIssue is how many characters an issue may have.
const longestIssue = 65536

// However much a run has left, the report fits into one issue, and shows the ends.
func TestReportIsShort(t *testing.T) {
	managedPython(t)
	s := newSandbox(t)
	dir := filepath.Join(filepath.Dir(s.dir), "state", "snakepit", "runs", "huge")
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"events.jsonl": strings.Repeat(`{"time":"2026-05-01T12:00:00Z","event":"worker_state","run_id":"huge","worker":"default-0","from":"starting","to":"ready","incarnation":1,"reason":"`+strings.Repeat("é", 300)+`"}`+"\n", 2000)}
	for i := range 50 {
		files[fmt.Sprintf("logs/default-%d.log", i)] = strings.Repeat(strings.Repeat("ü ", 900)+"\n", 300) + fmt.Sprintf("the last word of %d\n", i)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := s.command("report", "--run-id", "huge", "--output", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	if n := utf8.RuneCountInString(text); n > longestIssue {
		t.Errorf("it has %d characters", n)
	}
	if n := strings.Count(text, "the last word of "); n != reportLogs {
		t.Errorf("%d logs are shown to their end, want %d", n, reportLogs)
	}
	for _, want := range []string{" lines left out)", "38 logs of workers that printed longer ago left out", "## Events"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

// What stands in a section can neither end it nor steer a terminal, and a secret is
// taken out before anything is cut.
func TestReportSections(t *testing.T) {
	r := &issueReport{secrets: redact.New("")}
	r.secrets.Secret("planted-secret-value")
	r.section("Log", "text", "one\n```\n# not a title\n````\nplanted-\x1b[31msecret-\x1b[0mvalue\x07\n"+
		strings.Repeat("x ", longestLine/2-5)+"planted-secret-value\n", 5000, keepTail)
	got := r.text.String()
	want := "\n## Log\n\n`````text\none\n```\n# not a title\n````\n[redacted]\n" + strings.Repeat("x ", longestLine/2-5) + "[redacted]\n`````\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	r.text.Reset()
	r.section("Log", "text", strings.Repeat("é", longestLine)+"\nend", 5000, keepTail)
	if got, want := r.text.String(), "\n## Log\n\n```text\n"+strings.Repeat("é", longestLine/2)+"…\nend\n```\n"; got != want {
		t.Errorf("a long line: %q", got)
	}
	r.text.Reset()
	r.section("Log", "text", "", 10, keepTail)
	if got := r.text.String(); got != "\n## Log\n\n```text\n(nothing)\n```\n" {
		t.Errorf("%q", got)
	}
}

func TestCutLines(t *testing.T) {
	lines := []string{"1234", "5678", "9abc"}
	for _, tt := range []struct {
		most  int
		which keep
		want  string
	}{
		{15, keepHead, "1234\n5678\n9abc"},
		{14, keepHead, "1234\n5678\n(1 line left out)"},
		{14, keepTail, "(1 line left out)\n5678\n9abc"},
		{3, keepTail, "(3 lines left out)\n"},
	} {
		if got := cutLines(lines, tt.most, tt.which); got != tt.want {
			t.Errorf("%d: %q, want %q", tt.most, got, tt.want)
		}
	}
	if got := cutAt("aé", 2); got != "a" {
		t.Errorf("%q", got)
	}
}
