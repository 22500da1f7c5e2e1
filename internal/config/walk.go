package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// walker turns the syntax tree of one file into a document.
type walker struct {
	name  string
	lines []string // of the file, for excerpts
}

// pair is one "key: value" of a mapping.
type pair struct {
	key  string
	at   ast.Node // the key
	node ast.Node // the value
}

func (w walker) document(body ast.Node) (document, error) {
	doc := document{}
	pairs, err := w.mapping(body, "the file")
	for _, p := range pairs {
		if err != nil {
			break
		}
		switch p.key {
		case pythonPath.key:
			doc.pythonPath, err = w.list(p)
		case "pools":
			doc.pools, err = w.pools(p.node)
		case "features":
			doc.settings, err = w.features(doc.settings, p.node)
		default:
			doc.settings, err = w.setting(doc.settings, p, runSettings, pythonPath.key, "pools", "features")
		}
	}
	return doc, err
}

// features adds to the settings of the run: no key stands in both places.
func (w walker) features(to map[string]value, node ast.Node) (map[string]value, error) {
	pairs, err := w.mapping(node, "features")
	for _, p := range pairs {
		if err != nil {
			break
		}
		to, err = w.setting(to, p, featureSettings)
	}
	return to, err
}

func (w walker) pools(node ast.Node) (map[string]poolDocument, error) {
	pairs, err := w.mapping(node, "pools")
	pools := map[string]poolDocument{}
	for _, p := range pairs {
		if f := checkPoolName(p.key); f != nil {
			return nil, w.value(p.at, "the pool name", p.key).bad(f)
		}
		if pools[p.key], err = w.pool(p.node); err != nil {
			return nil, err
		}
	}
	return pools, err
}

func (w walker) pool(node ast.Node) (poolDocument, error) {
	var pool poolDocument
	pairs, err := w.mapping(node, "a pool")
	for _, p := range pairs {
		if err != nil {
			break
		}
		if p.key == "env" {
			pool.env, err = w.env(p.node)
		} else {
			pool.settings, err = w.setting(pool.settings, p, poolSettings, "env")
		}
	}
	return pool, err
}

func (w walker) env(node ast.Node) (map[string]string, error) {
	pairs, err := w.mapping(node, "env")
	if err != nil || len(pairs) == 0 {
		return nil, err
	}
	env := map[string]string{}
	for _, p := range pairs {
		text, is := scalar(p.node)
		if is == "" || is == "nothing" {
			return nil, w.bad(p.node, fmt.Sprintf("%s must be text, a number, true or false", show(p.key)), `write "" for an empty value`)
		}
		if f := checkEnv(p.key, text); f != nil {
			return nil, w.value(p.at, "env", p.key).bad(f)
		}
		env[p.key] = text
	}
	return env, nil
}

// setting adds the pair to the settings if the table has its key. An empty
// value means that the setting is not given.
func (w walker) setting(to map[string]value, p pair, table []setting, others ...string) (map[string]value, error) {
	i := slices.IndexFunc(table, func(s setting) bool { return s.key == p.key })
	if i < 0 {
		for _, s := range table {
			others = append(others, s.key)
		}
		slices.Sort(others)
		return nil, w.bad(p.at, "unknown key "+show(p.key), "known here: "+strings.Join(others, ", "))
	}
	text, is := scalar(p.node)
	if is == "nothing" {
		return to, nil
	}
	if to == nil {
		to = map[string]value{}
	}
	if list, ok := p.node.(*ast.SequenceNode); ok && table[i].kind == kindCommand {
		words, err := w.words(p.key, list)
		to[p.key] = words
		return to, err
	}
	if !fits(table[i].kind, is) {
		return nil, w.bad(p.node, fmt.Sprintf("%s must be %s", p.key, table[i].kind), fitHint(table[i].kind, is))
	}
	to[p.key] = w.value(p.node, p.key, text)
	return to, nil
}

func fits(want kind, is string) bool {
	switch want {
	case kindText, kindCommand:
		return is == "text"
	case kindWhole:
		return is == "whole"
	case kindSwitch:
		return is == "scalar" // and parseSwitch says which
	}
	return is == "text" || is == "whole" // "0" is a duration, and a size
}

func fitHint(want kind, is string) string {
	switch {
	case (want == kindText || want == kindCommand) && is != "":
		return "put quotes around it"
	case want == kindWhole:
		return "write digits without quotes"
	case want == kindSwitch:
		return "write true or false, without quotes"
	}
	return "write one value there"
}

// words returns the value of a command that is a list. Numbers are taken as they
// are written: arguments often are some.
func (w walker) words(key string, list *ast.SequenceNode) (value, error) {
	words := make([]string, 0, len(list.Values))
	for _, node := range list.Values {
		text, is := scalar(node)
		if is == "" || is == "nothing" {
			return value{}, w.bad(node, "a word of "+key+" must be text or a number", `put quotes around it: [python, server.py, --port, "{port}"]`)
		}
		words = append(words, text)
	}
	v := w.value(list, key, strings.Join(words, " "))
	v.words = words
	return v, nil
}

func (w walker) list(p pair) ([]value, error) {
	if _, is := scalar(p.node); is == "nothing" {
		return nil, nil
	}
	list, ok := p.node.(*ast.SequenceNode)
	if !ok {
		return nil, w.bad(p.node, p.key+" must be a list", "write it as [one, two]")
	}
	var values []value
	for _, node := range list.Values {
		text, is := scalar(node)
		if is != "text" || text == "" {
			return nil, w.bad(node, "an entry of "+p.key+" must be text", "put quotes around it")
		}
		values = append(values, w.value(node, p.key, text))
	}
	return values, nil
}
