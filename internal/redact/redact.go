// Package redact takes secrets out of text that is to be shown to others: values
// that are known to be secret wherever they stand, and what looks like one. In doubt
// it takes out too much. It reads and writes nothing.
//
// What it cannot know is a secret without a name and without a form, such as a
// password that a program prints as a word among words. Who shows the text to others
// has to read it first.
package redact

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mark stands where something was taken out.
const Mark = "[redacted]"

// shortest is how long a known value must be to be taken out wherever it stands: a
// shorter one ("1", "true") is a word of ordinary text.
const shortest = 4

// Redactor knows values that are secret.
type Redactor struct {
	secrets []string // longest first
	replace *strings.Replacer
	home    string
}

// New makes a redactor that also writes ~ for the home directory; empty: none is
// known.
func New(home string) *Redactor {
	home = strings.TrimRight(home, "/")
	if len(home) < 2 {
		home = ""
	}
	return &Redactor{home: home}
}

// Secret adds values that are taken out wherever they stand, also as JSON, a shell
// or a URL would write them, or in base64 or hex. Those shorter than 4 characters are not: see Names.
func (r *Redactor) Secret(values ...string) {
	for _, value := range values {
		r.add(value)
		for line := range strings.Lines(value) { // logs break there
			r.add(strings.TrimSpace(line))
		}
	}
	slices.SortFunc(r.secrets, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	r.secrets = slices.Compact(r.secrets)
	var pairs []string
	for _, secret := range r.secrets {
		pairs = append(pairs, secret, Mark)
	}
	r.replace = strings.NewReplacer(pairs...)
}

func (r *Redactor) add(value string) {
	if utf8.RuneCountInString(value) < shortest || strings.TrimSpace(value) == "" || strings.Contains(Mark, value) {
		return
	}
	quoted, _ := json.Marshal(value) // a string can always be written
	inside := strings.TrimSuffix(strings.TrimPrefix(string(quoted), `"`), `"`)
	again, _ := json.Marshal(inside) // JSON within a string of JSON, as logs have it
	r.secrets = append(r.secrets, value, inside, strings.Trim(string(again), `"`), url.QueryEscape(value), url.PathEscape(value))
	if len(value) >= commonWord {
		r.secrets = append(r.secrets, base64.StdEncoding.EncodeToString([]byte(value)),
			base64.RawURLEncoding.EncodeToString([]byte(value)), hex.EncodeToString([]byte(value)))
	}
}

// Environment adds the values of variables that are secret by their name or their
// form. Others, such as PATH, are words of ordinary text.
func (r *Redactor) Environment(env []string) {
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if IsSecretName(name) {
			r.Secret(value)
		}
		r.learnURL(value)
		for _, word := range strings.Fields(value) {
			if looksRandom(word) && len(word) >= longToken && !strings.Contains(word, "/") {
				r.Secret(word)
			}
		}
	}
}

// learnURL adds the password of a URL: it is used, and told of, without the URL.
func (r *Redactor) learnURL(text string) {
	for _, inside := range userInfo().FindAllStringSubmatch(text, -1) {
		_, password, ok := strings.Cut(inside[2], ":")
		if !ok {
			continue
		}
		r.Secret(password)
		if plain, err := url.PathUnescape(password); err == nil {
			r.Secret(plain)
		}
	}
}

// Text takes out what is secret. Lines stay lines, but for those of a private key, or
// of a value that has lines of its own.
func (r *Redactor) Text(text string) string {
	text = r.known(text)
	text = privateKey().ReplaceAllString(text, Mark)
	text = keyEnd().ReplaceAllString(text, Mark)
	text = privateLines().ReplaceAllString(text, "${1}\n"+Mark)
	text = block().ReplaceAllString(text, "${1}\n"+Mark)
	text = header().ReplaceAllString(text, "${1}${2}"+Mark)
	text = scheme().ReplaceAllString(text, "${1} "+Mark)
	text = userInfo().ReplaceAllString(text, "${1}"+Mark+"@")
	text = shape().ReplaceAllString(text, Mark)
	text = replaceNamed(text)
	text = replaceRandom(text)
	return r.tilde(text)
}

// known takes out the values that are known, and what was cut off with an ellipsis.
func (r *Redactor) known(text string) string {
	if r.replace == nil {
		return text
	}
	text = r.replace.Replace(text)
	const ellipsis = "…"
	if !strings.Contains(text, ellipsis) {
		return text
	}
	parts := strings.Split(text, ellipsis)
	for i := range parts[:len(parts)-1] {
		parts[i] = r.withoutBeginning(parts[i])
	}
	return strings.Join(parts, ellipsis)
}

// withoutBeginning takes the beginning of a secret from the end of a text.
func (r *Redactor) withoutBeginning(text string) string {
	const longest = 512 // of a line of ours that is cut
	for _, secret := range r.secrets {
		for n := min(len(secret)-1, longest, len(text)); n >= shortest; n-- {
			if rest, ok := strings.CutSuffix(text, secret[:n]); ok {
				return rest + Mark
			}
		}
	}
	return text
}

// tilde writes ~ for the home directory, where it is one and not the beginning of
// another name.
func (r *Redactor) tilde(text string) string {
	if r.home == "" {
		return text
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, r.home)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if continues(after) || precedes(before) {
			out.WriteString(r.home)
		} else {
			out.WriteString("~")
		}
		text = after
	}
}

func continues(text string) bool {
	return text != "" && (isWord(text[0]) || text[0] == '-' || text[0] == '.' && len(text) > 1 && isWord(text[1]))
}

// precedes says that the text goes on with a part of a path.
func precedes(text string) bool { return text != "" && isWord(text[len(text)-1]) }

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
