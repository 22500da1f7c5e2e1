package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

func (w walker) value(node ast.Node, key, text string) value {
	return value{
		text:    text,
		what:    fmt.Sprintf("%s %s in %s", key, show(text), w.place(node.GetToken())),
		excerpt: w.excerpt(node.GetToken()),
	}
}

func (w walker) bad(node ast.Node, reason, hint string) *Error {
	tk := firstToken(node)
	return value{what: w.place(tk), excerpt: w.excerpt(tk)}.bad(&fault{reason, hint})
}

// firstToken returns where the node begins: the token of a block mapping is its
// first colon.
func firstToken(node ast.Node) *token.Token {
	switch n := node.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return node.GetToken()
}

// place returns "file:line:column", which editors and terminals can follow.
func (w walker) place(tk *token.Token) string {
	if tk == nil || tk.Position == nil {
		return w.name
	}
	return fmt.Sprintf("%s:%d:%d", w.name, tk.Position.Line, tk.Position.Column)
}

// excerpt returns the line of the token, the line before it, and a caret. It
// does not use the printer of go-yaml, which takes gigabytes for a hostile file
// of a few kilobytes.
func (w walker) excerpt(tk *token.Token) string {
	if tk == nil || tk.Position == nil {
		return ""
	}
	line, column := tk.Position.Line, tk.Position.Column
	if line < 1 || line > len(w.lines) || column < 1 {
		return ""
	}
	var out strings.Builder
	if line > 1 {
		fmt.Fprintf(&out, "%4d | %s\n", line-1, shown(w.lines[line-2]))
	}
	text := shown(w.lines[line-1])
	fmt.Fprintf(&out, "%4d | %s\n", line, text)
	if column > utf8.RuneCountInString(text)+1 {
		return strings.TrimSuffix(out.String(), "\n")
	}
	out.WriteString("     | " + strings.Repeat(" ", column-1) + "^")
	return out.String()
}

// shown returns the beginning of a line with every character one column wide.
func shown(line string) string {
	const most = 160
	runes := []rune(strings.TrimRight(line, "\r"))
	if len(runes) > most {
		runes = runes[:most]
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = ' '
		}
	}
	return string(runes)
}
