package chaos

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 998877 1000 20 18446744073709551615"
	want := process{ident: ident{42, 998877}, ppid: 1, pgid: 42, sid: 43, state: 'S'}
	for _, name := range []string{"(sleep)", "(a b)", "(a) R 7 7 (b)", "()"} {
		got, err := parseStat("42 " + name + rest)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(process{}, ident{})); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for _, broken := range []string{"", "42 (x)", "42 (x) S 1", "x (x)" + rest, "42 (x) S 1 y 43 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 z"} {
		if p, err := parseStat(broken); err == nil {
			t.Errorf("%q: %+v", broken, p)
		}
	}
}

func TestParseListeners(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
`
	if diff := cmp.Diff([]string{"4711"}, parseListeners(table, 8080)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := parseListeners(table, 8082); got != nil {
		t.Errorf("nobody listens there, but %v", got)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (a) b) S 1 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 998877 1000 20")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parseStat(text); err == nil && p.state == 0 {
			t.Errorf("%q: %+v", text, p)
		}
	})
}
