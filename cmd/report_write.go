package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/doctor"
	"github.com/snakepit-dev/snakepit/internal/redact"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// How much of each section is shown, in bytes. Together they stay below the 65,536
// characters that an issue may have.
const (
	doctorBytes   = 8_000
	listBytes     = 8_000
	configBytes   = 6_000
	eventsBytes   = 10_000
	logsBytes     = 22_000
	problemsBytes = 3_000

	longestLine = 600
)

// issueReport puts a report together. Whatever cannot be read is a line among the
// problems; the rest of the report stands.
type issueReport struct {
	env      *Env
	found    *rundir.Found // nil: no run
	subject  doctor.Subject
	secrets  *redact.Redactor
	problems []string
	text     strings.Builder
}

func newIssueReport(env *Env, found *rundir.Found, file string) *issueReport {
	home, _ := os.UserHomeDir() // then there is none to write ~ for
	r := &issueReport{env: env, found: found, secrets: redact.New(home)}
	var err error
	if r.subject, err = doctorSubject(env, file, nil); err != nil {
		r.problem(err)
	}
	r.subject.Invalid = withoutExcerpt(r.subject.Invalid)
	return r
}

// withoutExcerpt leaves out the lines of the file that an error of the configuration
// shows: what could not be read is not known to be no secret.
func withoutExcerpt(err error) error {
	var setting *config.Error
	if !errors.As(err, &setting) {
		return err
	}
	reason, _, _ := strings.Cut(setting.Reason, "\n")
	return &config.Error{What: setting.What, Reason: reason, Hint: setting.Hint}
}

func (r *issueReport) problem(err error) {
	if err != nil {
		r.problems = append(r.problems, err.Error())
	}
}

// write makes the whole report.
func (r *issueReport) write(ctx context.Context) string {
	r.learn(ctx)
	fmt.Fprintf(&r.text, "# snakepit report\n\n%s\n", r.clean(r.headline(), 1000))
	r.section("Versions", "text", r.versions(ctx), 2_000, keepHead)
	r.section("Doctor", "text", r.doctor(ctx), doctorBytes, keepHead)
	r.section("Runs", "text", r.runs(ctx), listBytes, keepHead)
	r.section("Events", "text", r.events(), eventsBytes, keepTail)
	r.logs()
	r.configuration()
	if len(r.problems) > 0 {
		r.section("What could not be read", "text", strings.Join(r.problems, "\n"), problemsBytes, keepHead)
	}
	return r.text.String()
}

func (r *issueReport) headline() string {
	at := "Made at " + stamp(r.env.Now())
	switch {
	case r.found == nil:
		return at + "; there is no run to report on."
	case r.found.Alive:
		return fmt.Sprintf("%s of run %s, which is alive.", at, r.found.RunID)
	case r.found.LockUnknown:
		return fmt.Sprintf("%s of run %s; whether it is alive is not known.", at, r.found.RunID)
	}
	return fmt.Sprintf("%s of run %s: %s.", at, r.found.RunID, howEnded(r.found.Record, r.env.Now().UTC().Location()))
}

// learn finds the secrets that there are: in the environment of this process and of
// the run's, in the configuration, and the run's own key.
func (r *issueReport) learn(ctx context.Context) {
	r.secrets.Environment(os.Environ())
	if configuration, err := json.Marshal(r.subject.Config); err == nil {
		r.secrets.Learn(configuration)
	}
	if r.found == nil || r.found.Record == nil {
		return
	}
	r.secrets.Learn(r.found.Record.Config)
	r.secrets.Secret(r.found.Record.Key)
	if r.found.Alive {
		env, err := procscan.Environ(ctx, r.found.Record.Supervisor.ID())
		r.problem(err)
		r.secrets.Environment(env)
	}
}

// keep says which end of a text that is too long is shown.
type keep bool

const (
	keepHead keep = false
	keepTail keep = true
)

// section adds a block of text under a title. Nothing in it can end the block, or
// steer a terminal.
func (r *issueReport) section(title, kind, text string, most int, which keep) {
	text = r.bounded(text, most, which)
	if strings.TrimSpace(text) == "" {
		text = "(nothing)"
	}
	r.block(title, kind, text)
}

// block adds text that is clean already.
func (r *issueReport) block(title, kind, text string) {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	fmt.Fprintf(&r.text, "\n## %s\n\n%s%s\n%s\n%s\n", title, fence, kind, strings.TrimRight(text, "\n"), fence)
}

// clean makes foreign text harmless and takes the secrets out, then cuts it: what
// was cut before could not be recognised.
func (r *issueReport) clean(text string, most int) string { return r.bounded(text, most, keepHead) }

func (r *issueReport) bounded(text string, most int, which keep) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(harmless(strings.TrimRight(line, "\r\n"), false), " "))
	}
	text = r.secrets.Text(strings.ToValidUTF8(strings.Join(lines, "\n"), "?"))
	lines = strings.Split(text, "\n")
	for i, line := range lines {
		if len(line) > longestLine {
			lines[i] = cutAt(line, longestLine) + "…"
		}
	}
	return cutLines(lines, most, which)
}

// cutAt cuts at the beginning of a character.
func cutAt(text string, most int) string {
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// cutLines leaves out whole lines, and says how many.
func cutLines(lines []string, most int, which keep) string {
	size, kept := 0, 0
	for kept < len(lines) {
		next := lines[kept]
		if which == keepTail {
			next = lines[len(lines)-1-kept]
		}
		if size += len(next) + 1; size > most {
			break
		}
		kept++
	}
	left := len(lines) - kept
	if left == 0 {
		return strings.Join(lines, "\n")
	}
	note := fmt.Sprintf("(%s left out)", count(left, "line", "lines"))
	if which == keepTail {
		return note + "\n" + strings.Join(lines[left:], "\n")
	}
	return strings.Join(lines[:kept], "\n") + "\n" + note
}

// captured is an Env whose output goes to a buffer, without a terminal.
func captured(env *Env) (*Env, *bytes.Buffer) {
	var out bytes.Buffer
	inside := *env
	inside.Out, inside.Err = &out, &out
	return &inside, &out
}
