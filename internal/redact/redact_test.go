package redact

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden wants the redacted lines to be those that are written down.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestLines redacts the lines of a file in which every secret has "PLANTED" in it, in
// one case or another, and every word that has to stay "stays".
func TestLines(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "lines.txt"))
	if err != nil {
		t.Fatal(err)
	}
	r := New("/home/ada")
	r.Secret("known PLANTED \"value\"", "multi-PLANTED-one\nmulti-PLANTED-two", "http://x/?PLANTED&y")
	r.Environment([]string{"DATABASE_URL=postgres://ada:pw-PLANTED@db/stays", "APP_SECRET=in-the-PLANTED-env", "PATH=/usr/bin:stays", "EDITOR=vim"})
	got := r.Text(string(text))
	golden(t, "lines.golden", got)
	for _, line := range strings.Split(got, "\n") {
		if strings.Contains(strings.ToUpper(line), "PLANTED") {
			t.Errorf("a secret is shown: %s", line)
		}
	}
	if want, left := strings.Count(string(text), "stays"), strings.Count(got, "stays"); left != want {
		t.Errorf("of %d words that have to stay, %d are left", want, left)
	}
}

func TestJSON(t *testing.T) {
	document := `{"run_id": "stays", "pools": [{"name": "p", "workers": 8,
		"env": {"GREETING": "hi", "N": 1, "LONG": "not-a-word-PLANTED"}, "api_key": "k-PLANTED", "secret": "",
		"command": ["server", "--password", "w-PLANTED", "--token=t-PLANTED", "--port", "{port}", "--url", "http://u:p-PLANTED@h/"]}],
		"python_path": ["/home/ada/stays"], "max_memory_bytes": 123456789012345678}`
	r := New("/home/ada")
	r.Learn([]byte(document))
	got, err := r.JSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "config.golden", got+"\n")
	if strings.Contains(got, "PLANTED") {
		t.Error("a secret is shown")
	}
	// What was learned is taken out of other text, too.
	log := "server says not-a-word-PLANTED, w-PLANTED, t-PLANTED, p-PLANTED and k-PLANTED; hi 1"
	if got, want := r.Text(log), "server says [redacted], [redacted], [redacted], [redacted] and [redacted]; hi 1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := r.JSON([]byte(`{"a": `)); err == nil {
		t.Error("half a document was taken")
	}
}

// A value that was cut off is no less secret.
func TestCutOff(t *testing.T) {
	r := New("")
	r.Secret("correct-horse-battery-staple")
	if got, want := r.Text("python x.py correct-horse-bat…, user ada…"), "python x.py [redacted]…, user ada…"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTilde(t *testing.T) {
	r := New("/home/ada/")
	for text, want := range map[string]string{
		"/home/ada":             "~",
		"/home/ada/x":           "~/x",
		"a=/home/ada: no":       "a=~: no",
		"in /home/ada.":         "in ~.",
		"/home/adalbert/x":      "/home/adalbert/x",
		"/home/ada.old":         "/home/ada.old",
		"/srv/home/ada":         "/srv/home/ada",
		"/home/ada:/home/ada/y": "~:~/y",
	} {
		if got := r.Text(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := New("/").Text("/etc/passwd"); got != "/etc/passwd" {
		t.Errorf("%s", got)
	}
}

func TestIsSecretName(t *testing.T) {
	for _, name := range []string{"PASSWORD", "db_password", "--api-key", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SNAKEPIT_RUN_KEY", "PGPASSWORD", "key", "apikey", "SENTRY_DSN", "sessionId"} {
		if !IsSecretName(name) {
			t.Errorf("%s is secret", name)
		}
	}
	for _, name := range []string{"PATH", "max_tokens", "TOKENIZERS_PARALLELISM", "author", "monkey", "SSH_AUTH_SOCK", "keyboard", "run_id", "compass", "PWD", "OLDPWD"} {
		if IsSecretName(name) {
			t.Errorf("%s is not secret", name)
		}
	}
}

// FuzzText: whatever stands around it, a known secret is not shown, and neither is
// one with a telling name; lines stay lines.
func FuzzText(f *testing.F) {
	f.Add("before ", "hunter2", " after")
	f.Add("{\"password\": \"", "pa\\\"ss", "\"}\n")
	f.Add("postgres://u:p@h ", "a b c d", "…")
	f.Add("-----BEGIN RSA PRIVATE KEY-----\nMII", "zzzz", "\n-----END RSA PRIVATE KEY-----")
	f.Add("\\\\\"token\\\\\":\\\\\"", "0123", "\\\\\"")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		r := New("")
		r.Secret(secret)
		text := before + secret + after
		got := r.Text(text)
		known := len([]rune(secret)) >= shortest && strings.TrimSpace(secret) != "" && !strings.ContainsAny(secret, "[]") && !strings.Contains(Mark, secret)
		if known && strings.Contains(got, secret) {
			t.Errorf("%q is shown in %q", secret, got)
		}
		if !strings.Contains(text, "PRIVATE KEY") && !strings.ContainsAny(secret, "\n") && strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("lines are lost: %q became %q", text, got)
		}
		word := "x9" + strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' {
				return c
			}
			return -1
		}, secret) + "9x"
		if got := New("").Text("PASSWORD=" + word); strings.Contains(got, word) {
			t.Errorf("a named secret is shown: %q", got)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"pools": [{"env": {"A": "planted-value"}, "command": ["x", "--token", "planted-value"]}]}`)
	f.Add(`{"env": {"A": {"B": "planted-value"}}, "password": ["planted-value"]}`)
	f.Fuzz(func(t *testing.T, document string) {
		r := New("/home/ada")
		r.Learn([]byte(document))
		got, err := r.JSON([]byte(document))
		if err == nil && strings.Contains(document, `"password":"`) && strings.Contains(got, `"password": "planted`) {
			t.Errorf("%s", got)
		}
	})
}
