package procscan

import "testing"

func TestParseEnvState(t *testing.T) {
	for name, tt := range map[string]struct {
		raw  string
		want EnvState
	}{
		"nothing":                {"", EnvEmpty},
		"whole":                  {"A=1\x00PATH=/bin\x00", EnvWhole},
		"values with anything":   {"A= x = y\nz\x00BASH_FUNC_f%%=() { :; }\x00", EnvWhole},
		"empty value":            {"A=\x00", EnvWhole},
		"zeros":                  {"\x00\x00\x00\x00", EnvOverwritten},
		"title and zeros":        {"orker\x00\x00\x00\x00", EnvOverwritten},
		"title and blanks":       {"orker           ", EnvOverwritten},
		"title with an equals":   {"orker port=4000 \x00", EnvOverwritten},
		"title over the first":   {"orker\x00E=/root\x00PATH=/bin\x00", EnvOverwritten},
		"an entry without value": {"A=1\x00B\x00", EnvOverwritten},
		"no name":                {"=1\x00", EnvOverwritten},
	} {
		if got := parseEnvState([]byte(tt.raw)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
