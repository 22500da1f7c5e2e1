package redact

import (
	"regexp"
	"strings"
	"sync"
)

// secretWord is a part of the names that passwords and keys have.
const secretWord = `passw(?:or)?d|passwd|pwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|` +
	`signing[_-]?key|encryption[_-]?key|account[_-]?key|master[_-]?key|run[_-]?key|credential|auth[_-]?key|bearer|dsn|` +
	`connection[_-]?string|signature|salt|cookie|session[_-]?(?:id|key)|webhook`

// secretAlone are words that are such a name when nothing stands around them, or an
// underscore before them.
const secretAlone = `pass|key|auth|jwt|otp|pin|sid|sig|creds?`

// logTime is what our logs put before a line.
const logTime = `(?:\d{4}-\S+ )?`

// What stands for a value: quoted as JSON does it within a string of JSON, as Python
// and a shell do, or what is no blank. A bracket, or a call, goes on to the end of the
// line: what in it is secret is not to be known. A value that is quoted once ends with
// its line, quote or not.
const (
	tripled = `(?s:\w{0,2}""".*?(?:"""|\z)|\w{0,2}'''.*?(?:'''|\z))`
	quoted  = `\\+".*?\\+"|[bBrRuU]{0,2}"(?:[^"\\\n]|\\[^\n])*"?|[bBrRuU]{0,2}'[^'\n]*'?`
	value   = tripled + `|` + quoted + `|[\w.]*[\[({][^\n]*|[^\s"']+`
)

var (
	secretName = lazily(`(?i)(?:` + secretWord + `)|(?:^|_)(?:` + secretAlone + `)$`)

	// named is a name, what stands between, and a value that may be quoted, also
	// within a string of JSON.
	named = lazily(`(?i)([\w.-]*(?:` + secretWord + `)[\w.-]*|\b(?:\w*_)?(?:` + secretAlone + `|session)\b)` +
		`(\\*["']?\]?\s*(?:=>|:=|=|:|%3[da])\s*|\\*["']\s*,\s*)` +
		`(` + value + `)`)

	// flagged is an option of a command line and the next word.
	flagged = lazily(`(?i)(--?[\w.-]*(?:` + secretWord + `)[\w.-]*)(\s+)("(?:[^"\\\n]|\\[^\n])*"?|'[^'\n]*'?|[^\s"']+)`)

	// paired is a name that is a value itself, with its own value behind it: lists of
	// variables, in JSON, YAML and XML.
	paired = lazily(`(?i)(\\*["']?\b(?:name|key)\\*["']?\s*[:=]\s*\\*["']?[\w.-]*(?:` + secretWord + `)[\w.-]*\\*["']?[\s,]+\\*["']?value\\*["']?\s*[:=]\s*)` +
		`(` + value + `)`)

	// element is one of XML.
	element = lazily(`(?i)(<[\w.:-]*(?:` + secretWord + `)[\w.:-]*(?:\s[^<>]*)?>)[^<]+`)

	// block is a value in lines of its own, further in, as YAML has it; each may have
	// the time that a log gives it.
	block = lazily(`(?i)([\w.-]*(?:` + secretWord + `|\b(?:` + secretAlone + `))["']?:\s*[|>][+-]?)[ \t]*(?:\n` + logTime + `[ \t]+[^\n]*)+`)

	// said is a password in a sentence, in a .netrc, at a prompt.
	said = lazily(`(?i)(\b(?:password|passwd|passphrase|passcode)(?:\t+|\s+(?:is|was):?\s+|\s+for\s+\S+(?::|\s+is:?)\s*)|\blogin\s+\S+\s+password\s+)` +
		`("[^"\n]*"?|'[^'\n]*'?|[^\s"']+)`)

	// login is a name with a password as option of curl and its kind; given, a password
	// that is the option's own word.
	login = lazily(`(\s(?:-u|--user|--proxy-user|-U)[ =]?["']?[^\s:"']+:)[^\s"']+`)
	given = lazily(`(\b(?:mysql\w*|mariadb\w*|sshpass)\b[^\n]*?\s-p ?)("[^"\n]*"?|'[^'\n]*'?|[^\s"']+)`)

	// query is a parameter of a URL that is good for one login, or signs it.
	query = lazily(`(?i)([?&](?:code|sig|key|auth|assertion)=)[^&\s"'<>]+`)

	// header is one that carries credentials, to the end of the line.
	header = lazily(`(?i)((?:proxy-)?authorization|set-cookie|cookie|x-api-key|x-auth[\w-]*)(\\*["']?\s*[:=]\s*)[^\r\n]+`)

	// scheme is one of HTTP's, and its credentials.
	scheme = lazily(`(?i)\b(bearer|basic|digest|negotiate)\s+[A-Za-z0-9+/=._~-]{8,}`)

	// userInfo is that of a URL. It goes on to the last @, since a password may have
	// one, or a slash.
	userInfo = lazily(`([A-Za-z][A-Za-z0-9+.-]*://)([^\s"'<>]*)@`)

	// privateKey is one in PEM; without an end it goes on to the end. keyEnd is the end
	// of one whose beginning is not there, as in the last lines of a log, and privateLines
	// are those of PuTTY.
	privateKey   = lazily(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)`)
	keyEnd       = lazily(`(?m)(?:^` + logTime + `[A-Za-z0-9+/=]{4,}[ \t]*\n)+` + logTime + `-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	privateLines = lazily(`(?m)(Private-Lines: \d+)(?:\n` + logTime + `[A-Za-z0-9+/=]{8,}[ \t]*$)+`)

	// shape is a form by which those who hand out keys make them known.
	shape = lazily(`\b(?:(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{12,}` +
		`|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}` +
		`|xox[abeprs]-[A-Za-z0-9-]{8,}|sk-[A-Za-z0-9_-]{16,}|[rsp]k_(?:live|test)_[A-Za-z0-9]{8,}` +
		`|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{16,}|pypi-[A-Za-z0-9_-]{16,}` +
		`|dckr_pat_[A-Za-z0-9_-]{16,}|shp(?:at|ca|pa|ss)_[A-Za-z0-9]{16,}|AGE-SECRET-KEY-1[A-Z0-9]{16,}` +
		`|hooks\.slack\.com/\w+/[\w/]{8,}|discord(?:app)?\.com/api/webhooks/[\w/-]{8,}` +
		`|SG\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2})`)

	// run is what a token could be written in.
	run = lazily(`[A-Za-z0-9+/=_-]{20,}`)
)

// IsSecretName says that the value of a variable, an option or a field of this name
// is nobody else's business.
func IsSecretName(name string) bool {
	return secretName().MatchString(name) && !isOrdinary(name)
}

// isOrdinary says that a name speaks of the working directory, or of the tokens of a
// language, which a worker's log is full of.
func isOrdinary(name string) bool {
	lower := strings.ToLower(name)
	return name == "PWD" || name == "OLDPWD" || strings.HasSuffix(lower, "tokens") || strings.Contains(lower, "tokeniz")
}

func replaceNamed(text string) string {
	for _, pattern := range []*regexp.Regexp{paired(), element(), said(), login(), given(), query()} {
		text = pattern.ReplaceAllString(text, "${1}"+Mark)
	}
	for _, pattern := range []*regexp.Regexp{named(), flagged()} {
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
	for _, found := range run().FindAllStringIndex(text, -1) {
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
	if uuid().MatchString(word) {
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

var uuid = lazily(`(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

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

// lazily compiles an expression when it is first needed: each command is a process of
// its own, and hardly any of them has something to redact.
func lazily(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
