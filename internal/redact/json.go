package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// environment is the field of a pool's configuration whose values are all taken out.
const environment = "env"

// Learn adds the secrets of a JSON document: all values below a field env that are
// long enough not to be ordinary words, and what its other names say is secret.
func (r *Redactor) Learn(document []byte) {
	var tree any
	if json.Unmarshal(document, &tree) != nil {
		return // then it is not shown as a document, either
	}
	r.learn(tree, false)
}

// commonWord is how long a value without a telling name must be to be looked for in
// other text: "info" or "8080" is everywhere.
const commonWord = 8

func (r *Redactor) learn(node any, secret bool) {
	switch n := node.(type) {
	case map[string]any:
		for key, value := range n {
			if values, ok := value.(map[string]any); ok && key == environment {
				r.learnEnv(values)
				continue
			}
			r.learn(value, IsSecretName(key))
		}
	case []any:
		for i, value := range n {
			name, _ := value.(string)
			if next, ok := at(n, i+1).(string); ok && isSecretFlag(name) {
				r.Secret(next)
			}
			r.learn(value, secret)
		}
	case string:
		r.learnURL(n)
		if name, value, ok := strings.Cut(n, "="); ok && strings.HasPrefix(name, "-") && IsSecretName(name) {
			r.Secret(value)
		}
		if secret {
			r.Secret(n)
		}
	}
}

func (r *Redactor) learnEnv(values map[string]any) {
	for name, value := range values {
		text := fmt.Sprint(value)
		if IsSecretName(name) || len(text) >= commonWord {
			r.Secret(text)
		}
		r.learnURL(text)
	}
}

// JSON takes the secrets out of a document, and writes it with two blanks of
// indentation. What is no JSON is an error, and is not returned.
func (r *Redactor) JSON(document []byte) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return "", fmt.Errorf("cannot read it: %w", err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r.clean(tree)); err != nil {
		return "", fmt.Errorf("cannot write it: %w", err)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

func (r *Redactor) clean(node any) any {
	switch n := node.(type) {
	case map[string]any:
		cleaned := map[string]any{}
		for key, value := range n {
			values, isMap := value.(map[string]any)
			switch {
			case key == environment && isMap:
				cleaned[key] = allOf(values)
			case IsSecretName(key) && value != nil && value != "":
				cleaned[r.Text(key)] = Mark
			default:
				cleaned[r.Text(key)] = r.clean(value)
			}
		}
		return cleaned
	case []any:
		cleaned := make([]any, len(n))
		for i, value := range n {
			cleaned[i] = r.clean(value)
			if before, _ := at(n, i-1).(string); isSecretFlag(before) {
				cleaned[i] = Mark
			}
		}
		return cleaned
	case string:
		return r.Text(n)
	}
	return node
}

func allOf(values map[string]any) map[string]any {
	marked := map[string]any{}
	for name := range values {
		marked[name] = Mark
	}
	return marked
}

// isSecretFlag says that the next word is the value of an option with such a name.
func isSecretFlag(word string) bool {
	return strings.HasPrefix(word, "-") && !strings.Contains(word, "=") && IsSecretName(word)
}

func at(list []any, i int) any {
	if i < 0 || i >= len(list) {
		return nil
	}
	return list[i]
}
