package config

import "github.com/goccy/go-yaml/ast"

// mapping returns the pairs of a mapping in the file's order, none for an empty
// value.
func (w walker) mapping(node ast.Node, what string) ([]pair, error) {
	var nodes []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		nodes = n.Values
	case *ast.MappingValueNode:
		nodes = []*ast.MappingValueNode{n}
	default:
		if _, is := scalar(node); is == "nothing" {
			return nil, nil
		}
		return nil, w.bad(node, what+" must be a mapping of keys to values", "write it as key: value, one per line; anchors, aliases and tags are not supported")
	}
	var pairs []pair
	seen := map[string]bool{}
	for _, n := range nodes {
		key, ok := n.Key.(*ast.StringNode)
		if !ok {
			return nil, w.bad(n.Key, "a key must be text", "put quotes around it; anchors, aliases and merge keys are not supported")
		}
		if seen[key.Value] {
			return nil, w.bad(key, "the key "+show(key.Value)+" is there twice", "remove one of them")
		}
		seen[key.Value] = true
		pairs = append(pairs, pair{key.Value, key, n.Value})
	}
	return pairs, nil
}

// scalar returns the text of a single value as it is written in the file, and
// whether that is "text", a "whole" number, another "scalar", "nothing" (null),
// or, with "", not a single value at all.
func scalar(node ast.Node) (text, is string) {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return "", "nothing"
	case *ast.StringNode:
		return n.Value, "text"
	case *ast.LiteralNode:
		return n.Value.Value, "text"
	case *ast.IntegerNode:
		return n.GetToken().Value, "whole"
	case *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, "scalar"
	}
	return "", ""
}
