package redact

import (
	"regexp"
	"strings"
)

// secretWord is a part of the names that passwords and keys have.
const secretWord = `passw(?:or)?d|passwd|pwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|` +
	`signing[_-]?key|encryption[_-]?key|account[_-]?key|master[_-]?key|run[_-]?key|credential|auth[_-]?key|bearer|dsn|` +
	`connection[_-]?string|signature|salt|cookie|session[_-]?(?:id|key)|webhook`

var (
	secretName = regexp.MustCompile(`(?i)(?:` + secretWord + `)|(?:^|_)(?:pass|key|auth)$`)

	// named is a name, what stands between, and a value that may be quoted, also
	// within a string of JSON. A value ends with its line, quote or not.
	named = regexp.MustCompile(`(?i)([\w.-]*(?:` + secretWord + `)[\w.-]*|\b\w*_(?:pass|key|auth)\b)` +
		`(\\*["']?\s*(?:=>|:=|=|:)\s*|\\*["']\s*,\s*)` +
		`(\\+".*?\\+"|"(?:[^"\\\n]|\\[^\n])*"?|'[^'\n]*'?|[^\s"']+)`)

	// flagged is an option of a command line and the next word.
	flagged = regexp.MustCompile(`(?i)(--?[\w.-]*(?:` + secretWord + `)[\w.-]*)(\s+)("(?:[^"\\\n]|\\[^\n])*"?|'[^'\n]*'?|[^\s"']+)`)

	// header is one that carries credentials, to the end of the line.
	header = regexp.MustCompile(`(?i)((?:proxy-)?authorization|set-cookie|cookie|x-api-key|x-auth[\w-]*)(\\*["']?\s*[:=]\s*)[^\r\n]+`)

	// scheme is one of HTTP's, and its credentials.
	scheme = regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate)\s+[A-Za-z0-9+/=._~-]{8,}`)

	// userInfo is that of a URL. It goes on to the last @, since a password may have
	// one, or a slash.
	userInfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^\s"'<>]*)@`)

	// privateKey is one in PEM; without an end it goes on to the end.
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)

	// shape is a form by which those who hand out keys make them known.
	shape = regexp.MustCompile(`\b(?:(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{12,}` +
		`|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}` +
		`|xox[abeprs]-[A-Za-z0-9-]{8,}|sk-[A-Za-z0-9_-]{16,}|[rsp]k_(?:live|test)_[A-Za-z0-9]{8,}` +
		`|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{16,}|pypi-[A-Za-z0-9_-]{16,}` +
		`|SG\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2})`)

	// run is what a token could be written in.
	run = regexp.MustCompile(`[A-Za-z0-9+/=_-]{20,}`)
)

// IsSecretName says that the value of a variable, an option or a field of this name
// is nobody else's business.
func IsSecretName(name string) bool {
	return secretName.MatchString(name) && !isOrdinary(name)
}

// isOrdinary says that a name speaks of the working directory, or of the tokens of a
// language, which a worker's log is full of.
func isOrdinary(name string) bool {
	lower := strings.ToLower(name)
	return lower == "pwd" || lower == "oldpwd" || strings.HasSuffix(lower, "tokens") || strings.Contains(lower, "tokeniz")
}

func replaceNamed(text string) string {
	for _, pattern := range []*regexp.Regexp{named, flagged} {
		text = pattern.ReplaceAllStringFunc(text, func(match string) string {
			parts := pattern.FindStringSubmatch(match)
			if isOrdinary(parts[1]) || strings.HasPrefix(parts[3], Mark) {
				return match
			}
			return parts[1] + parts[2] + Mark
		})
	}
	return text
}

// longToken is the shortest word that is taken for a token by its looks alone.
const longToken = 20

// replaceRandom takes out long words that look random. A path stays, but for the
// parts of it that do: of a whole one, all that tells is where something lies.
func replaceRandom(text string) string {
	var out strings.Builder
	at := 0
	for _, found := range run.FindAllStringIndex(text, -1) {
		word := text[found[0]:found[1]]
		out.WriteString(text[at:found[0]])
		out.WriteString(judgeRun(word, found[0] > 0 && strings.IndexByte("/.~", text[found[0]-1]) >= 0))
		at = found[1]
	}
	return out.String() + text[at:]
}

func judgeRun(word string, inPath bool) string {
	parts := strings.Split(word, "/")
	for i, part := range parts {
		if len(part) >= longToken && looksRandom(part) {
			parts[i] = Mark
		}
	}
	path := inPath || strings.HasPrefix(word, "/")
	if !path && len(parts) > 1 && len(word) >= 2*longToken-8 && looksRandom(word) {
		return Mark // base64 has slashes as well
	}
	return strings.Join(parts, "/")
}

// looksRandom counts where a word changes between letters and digits, or from a
// small letter to a capital: words of people and of programs rarely do. A UUID names
// something, and is no secret.
func looksRandom(word string) bool {
	if uuid.MatchString(word) {
		return false
	}
	changes := 0
	for i := 1; i < len(word); i++ {
		a, b := kindOf(word[i-1]), kindOf(word[i])
		if a == 'a' && b == 'A' || a == '0' && (b == 'a' || b == 'A') || b == '0' && (a == 'a' || a == 'A') {
			changes++
		}
	}
	return changes >= 5
}

var uuid = regexp.MustCompile(`(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func kindOf(c byte) byte {
	switch {
	case c >= 'a' && c <= 'z':
		return 'a'
	case c >= 'A' && c <= 'Z':
		return 'A'
	case c >= '0' && c <= '9':
		return '0'
	}
	return 0
}
